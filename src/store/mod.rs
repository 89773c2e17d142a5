//! Our own data: plain functions over one `Database` that is SQLite or PostgreSQL, chosen by URL.
//! No SQL of the store stands outside this folder.

pub mod audit;
pub mod keys;
