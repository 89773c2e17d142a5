//! The names that users of the published Function have in their environment are all that a source
//! needs; asked through the binary.

use std::process::Command;
use std::sync::Arc;

use caller_context::manifest::plan::SqlEngine;

use crate::database::{self, Result, TestDatabase};

#[tokio::test]
async fn the_published_names_are_a_source() -> Result {
    let test = "published::the_published_names_are_a_source";
    database::run(SqlEngine::Mysql, test, async |database| {
        for statement in [
            "CREATE TABLE customers (id INT PRIMARY KEY, name TEXT, phone TEXT, mobile TEXT, vip_status BOOLEAN)",
            "CREATE TABLE customer_accounts (customer_id INT, status TEXT, last_visit DATETIME)",
            "INSERT INTO customers VALUES (7, 'Ann Example', '+14155550142', NULL, TRUE)",
            "INSERT INTO customer_accounts VALUES (7, 'active', '2026-11-02 10:00:00')",
        ] {
            database.execute(statement).await?;
        }
        let url = url::Url::parse(&database.url)?;
        let user = format!("u{}", uuid::Uuid::new_v4().simple()).chars().take(24).collect::<String>();
        let name = url.path().trim_start_matches('/').to_owned();
        database.execute(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'secret of a test'")).await?;
        database.execute(&format!("GRANT SELECT ON {name}.* TO '{user}'@'%'")).await?;
        let address = database.address()?;
        let looked_up = Command::new(env!("CARGO_BIN_EXE_caller-context"))
            .args(["lookup", "+14155550142"])
            .env_clear()
            .envs([("DB_HOST", &*address), ("DB_USER", &user), ("DB_PASSWORD", "secret of a test"), ("DB_NAME", &name)])
            .current_dir(std::env::temp_dir())
            .output()?;
        database.execute(&format!("DROP USER '{user}'@'%'")).await?;
        let page = String::from_utf8(looked_up.stdout)?;
        for line in ["match unique", "Ann Example", "active", "2026-11-02", "true"] {
            assert!(page.contains(line), "{line}: {page}{}", String::from_utf8_lossy(&looked_up.stderr));
        }
        Ok(())
    })
    .await
}

crate::on_engines! {
    postgres { a_database_of_ones_own_is_a_source }
    mysql { a_database_of_ones_own_is_a_source }
    sqlite { a_database_of_ones_own_is_a_source }
}

/// The whole way on every engine: config.toml, plan, guard, pool, reading, merge, page.
async fn a_database_of_ones_own_is_a_source(database: Arc<TestDatabase>) -> Result {
    for statement in [
        "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(80), phone VARCHAR(20), owed DECIMAL(10, 2), vip BOOLEAN)",
        "CREATE TABLE orders (id INT PRIMARY KEY, person INT, what VARCHAR(80), placed DATE)",
        "INSERT INTO people VALUES (7, 'Ann Example', '(415) 555-0142', 129.50, TRUE)",
        "INSERT INTO orders VALUES (1, 7, 'Brass gears', '2026-09-17')",
    ] {
        database.execute(statement).await?;
    }
    let engine = match database.engine {
        SqlEngine::Postgres => "postgres",
        SqlEngine::Mysql => "mysql",
        SqlEngine::Sqlite => "sqlite",
    };
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    std::fs::write(
        &config,
        format!(
            r#"
[phone]
default_region = "US"
[sources.own]
connector = "{engine}"
url       = "env:OWN_DATABASE"
[sources.own.lookup.person]
needs     = ["phone"]
spellings = ["e164", "national_format"]
sql       = "SELECT id, name, phone, owed, vip FROM people WHERE phone IN (:phones) LIMIT 5"
phones    = ["phone"]
rank      = ["id"]
provides  = {{ own.contact_id = "id", name = "name", vip = "vip", payment.outstanding = "owed" }}
[sources.own.lookup.orders]
needs       = ["own.contact_id"]
sql         = "SELECT id, what, placed FROM orders WHERE person = :own.contact_id"
list.orders = {{ item = {{ id = "id", description = "what", date = "placed" }} }}
"#
        ),
    )?;
    let looked_up = Command::new(env!("CARGO_BIN_EXE_caller-context"))
        .args(["lookup", "+14155550142", "--config"])
        .arg(&config)
        .env_clear()
        .env("OWN_DATABASE", &database.url)
        .current_dir(folder.path())
        .output()?;
    let page = String::from_utf8(looked_up.stdout)?;
    for text in ["match unique", "Ann Example", "129.5", "true", "Brass gears", "2026-09-17"] {
        assert!(page.contains(text), "{text}: {page}{}", String::from_utf8_lossy(&looked_up.stderr));
    }
    Ok(())
}
