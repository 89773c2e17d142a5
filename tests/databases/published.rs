//! The names that users of the published Function have in their environment are all that a source
//! needs; asked through the binary.

use std::process::Command;

use caller_context::manifest::plan::SqlEngine;

use crate::database::{self, Result};

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
