//! Columns of each engine's types as JSON values, and values as parameters of each type.

use std::sync::Arc;

use caller_context::domain::Value;
use caller_context::manifest::plan::SqlEngine::{Mysql, Postgres, Sqlite};
use serde_json::{Value as Json, json};

use crate::database::{Result, TestDatabase};
use crate::sources::{bound, open, settings, value};

crate::on_engines! {
    postgres { every_type, values_as_parameters }
    mysql { every_type, values_as_parameters }
    sqlite { every_type, values_as_parameters }
}

/// Type, literal, and the JSON it is read as.
type Case = (&'static str, &'static str, &'static str);

const POSTGRES: &[Case] = &[
    ("BOOLEAN", "true", "true"),
    ("SMALLINT", "-3", "-3"),
    ("INTEGER", "2147483647", "2147483647"),
    ("BIGINT", "9223372036854775807", "9223372036854775807"),
    ("REAL", "0.1", "0.1"),
    ("DOUBLE PRECISION", "0.1", "0.1"),
    ("DOUBLE PRECISION", "'NaN'", "null"),
    ("NUMERIC(20,4)", "1234567890123456.7800", "\"1234567890123456.7800\""),
    ("NUMERIC", "-0.10", "\"-0.10\""),
    ("NUMERIC", "'NaN'", "null"),
    ("TEXT", "'Zoë'", "\"Zoë\""),
    ("VARCHAR(9)", "'null'", "\"null\""),
    ("CHAR(5)", "'ab'", "\"ab\""),
    ("UUID", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "\"6f9619ff-8b86-d011-b42d-00c04fc964ff\""),
    ("TIMESTAMPTZ", "'2026-03-01 12:00:00.5+02'", "\"2026-03-01T10:00:00.5Z\""),
    ("TIMESTAMPTZ", "'infinity'", "null"),
    ("TIMESTAMP", "'2026-03-01 12:00:00'", "\"2026-03-01T12:00:00\""),
    ("DATE", "'2026-03-01'", "\"2026-03-01\""),
    ("DATE", "'-infinity'", "null"),
    ("TIME", "'08:30'", "\"08:30:00\""),
    ("JSON", "'{\"a\": [1, null]}'", "{\"a\":[1,null]}"),
    ("JSONB", "'{\"a\": 1}'", "{\"a\":1}"),
    ("TEXT[]", "'{a,NULL,\"b c\"}'", "[\"a\",null,\"b c\"]"),
    ("INTEGER[]", "'{}'", "[]"),
    ("NUMERIC[]", "'{1.50}'", "[\"1.50\"]"),
    ("mood", "'glad'", "\"glad\""),
    ("mood[]", "'{glad}'", "[\"glad\"]"),
    ("short", "'abc'", "\"abc\""),
    ("BYTEA", "'\\x00ff'", "null"),
    ("INTERVAL", "'1 day'", "null"),
    ("POINT", "'(1,2)'", "null"),
    ("TEXT", "NULL", "null"),
];

const MYSQL: &[Case] = &[
    ("BOOLEAN", "true", "true"),
    ("TINYINT", "1", "1"),
    ("TINYINT(1)", "5", "5"),
    ("SMALLINT", "-3", "-3"),
    ("BIGINT", "9223372036854775807", "9223372036854775807"),
    ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"),
    ("FLOAT", "0.1", "0.1"),
    ("DOUBLE", "0.1", "0.1"),
    ("DECIMAL(20,4)", "1234567890123456.78", "\"1234567890123456.7800\""),
    ("VARCHAR(9)", "'Zoë'", "\"Zoë\""),
    ("CHAR(5)", "'ab'", "\"ab\""),
    ("TEXT", "'a'", "\"a\""),
    ("LONGTEXT", "'a'", "\"a\""),
    ("DATETIME(3)", "'2026-03-01 12:00:00.5'", "\"2026-03-01T12:00:00.5\""),
    ("DATETIME", "'0000-00-00 00:00:00'", "null"),
    ("TIMESTAMP NULL", "'2026-03-01 12:00:00'", "\"2026-03-01T12:00:00Z\""),
    ("DATE", "'2026-03-01'", "\"2026-03-01\""),
    ("DATE", "'0000-00-00'", "null"),
    ("TIME", "'08:30'", "\"08:30:00\""),
    ("TIME", "'-08:30'", "null"),
    ("YEAR", "2026", "2026"),
    ("ENUM('glad','sad')", "'glad'", "\"glad\""),
    ("SET('a','b')", "'a,b'", "\"a,b\""),
    ("BIT(1)", "b'1'", "true"),
    ("BIT(10)", "b'1000000001'", "513"),
    ("JSON", "'{\"a\": [1, null]}'", "{\"a\":[1,null]}"),
    ("BLOB", "'a'", "null"),
    ("VARBINARY(9)", "'a'", "null"),
    ("POINT", "POINT(1, 2)", "null"),
    ("TEXT", "NULL", "null"),
];

const SQLITE: &[Case] = &[
    ("BOOLEAN", "1", "true"),
    ("BOOLEAN", "7", "7"),
    ("INTEGER", "9223372036854775807", "9223372036854775807"),
    ("REAL", "0.1", "0.1"),
    ("TEXT", "'Zoë'", "\"Zoë\""),
    ("TEXT", "'{\"a\": 1}'", "\"{\\\"a\\\": 1}\""),
    ("JSON", "'{\"a\": 1}'", "{\"a\":1}"),
    ("JSON", "'{'", "\"{\""),
    ("DATE", "'2026-03-01'", "\"2026-03-01\""),
    ("BLOB", "x'00ff'", "null"),
    ("TEXT", "NULL", "null"),
];

async fn every_type(database: Arc<TestDatabase>) -> Result {
    let cases = match database.engine {
        Postgres => POSTGRES,
        Mysql => MYSQL,
        Sqlite => SQLITE,
    };
    if database.engine == Postgres {
        database.execute("CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN short AS VARCHAR(5)").await?;
    }
    let pool = open(&database, settings())?;
    for (i, (ty, literal, expected)) in cases.iter().enumerate() {
        let table = format!("t{i}");
        database.execute(&format!("CREATE TABLE {table} (v {ty})")).await?;
        // MariaDB takes dates of zeros only where it is lenient
        let lenient =
            if database.engine == Mysql { "SET STATEMENT sql_mode = '', time_zone = '+00:00' FOR " } else { "" };
        database.execute(&format!("{lenient}INSERT INTO {table} VALUES ({literal})")).await?;
        let select = format!("SELECT v FROM {table}");
        let rows = pool.query(&bound(database.engine, &select, &[], &[], &[])?).await?;
        let expected: Json = serde_json::from_str(expected)?;
        assert_eq!(value(&rows, "v"), expected, "{ty} {literal}");
    }
    Ok(())
}

async fn values_as_parameters(database: Arc<TestDatabase>) -> Result {
    let (time, at, utc) = match database.engine {
        Postgres => ("TIMESTAMPTZ", "2026-03-01T12:00:00Z", ""),
        Sqlite => ("TEXT", "2026-03-01T12:00:00Z", ""),
        Mysql => ("TIMESTAMP NULL", "2026-03-01 12:00:00", "SET STATEMENT time_zone = '+00:00' FOR "),
    };
    let columns = format!("id BIGINT, at {time}, day DATE, amount DECIMAL(10,2), yes BOOLEAN, word VARCHAR(9)");
    database.execute(&format!("CREATE TABLE t ({columns})")).await?;
    let row = format!("{utc}INSERT INTO t VALUES (7, '{at}', '2026-03-01', 12.50, true, 'x')");
    database.execute(&row).await?;
    let pool = open(&database, settings())?;
    let at: jiff::Timestamp = "2026-03-01T12:00:00Z".parse()?;
    for (column, name, good, bad) in [
        ("id", "contact_count", Value::Int(7), Value::Int(8)),
        ("id", "customer_id", Value::text("7"), Value::text("8")),
        ("word", "customer_id", Value::text("x"), Value::text("y")),
        ("at", "last_contact", Value::Time(at), Value::Time(jiff::Timestamp::UNIX_EPOCH)),
        ("day", "name", Value::Date(jiff::civil::date(2026, 3, 1)), Value::Date(jiff::civil::date(2026, 3, 2))),
        ("yes", "vip", Value::Bool(true), Value::Bool(false)),
        ("amount", "name", Value::Decimal("12.5".parse()?), Value::Decimal("12.51".parse()?)),
    ] {
        let sql = format!("SELECT count(*) AS n FROM t WHERE {column} = :{name}");
        for (given, n) in [(vec![(name, good)], 1), (vec![(name, bad)], 0), (vec![], 0)] {
            let rows = pool.query(&bound(database.engine, &sql, &[], &[], &given)?).await?;
            assert_eq!(value(&rows, "n"), json!(n), "{column} = :{name}");
        }
    }
    Ok(())
}
