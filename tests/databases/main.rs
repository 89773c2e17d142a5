//! Databases as sources and as our own store, on real PostgreSQL, MariaDB and SQLite.

mod bad_days;
#[path = "../support/chaos.rs"]
mod chaos;
#[path = "../support/database.rs"]
mod database;
mod published;
#[path = "../support/server.rs"]
mod server;
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
