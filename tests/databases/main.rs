//! Databases as sources and as our own store, on real PostgreSQL, MariaDB and SQLite.

#[path = "../support/chaos.rs"]
mod chaos;
#[path = "../support/database.rs"]
mod database;
mod published;
mod sources;
mod store;
mod types;

use caller_context::manifest::plan::SqlEngine;

fn engine(name: &str) -> SqlEngine {
    match name {
        "postgres" => SqlEngine::Postgres,
        "mysql" => SqlEngine::Mysql,
        _ => SqlEngine::Sqlite,
    }
}
