//! The demo's own database: customers, their accounts and orders in one SQLite file.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::world::{self, PEOPLE};

const TABLES: &str = "
    CREATE TABLE customers (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        name TEXT NOT NULL,
        first_name TEXT,
        last_name TEXT,
        email TEXT,
        phone TEXT,
        mobile TEXT,
        vip_status INTEGER NOT NULL,
        preferred_agent TEXT,
        contact_count INTEGER NOT NULL
    );
    CREATE INDEX customers_phone ON customers (phone);
    CREATE INDEX customers_mobile ON customers (mobile);
    CREATE TABLE customer_accounts (
        customer_id TEXT PRIMARY KEY REFERENCES customers,
        status TEXT NOT NULL,
        last_visit TEXT
    );
    CREATE TABLE orders (
        id TEXT PRIMARY KEY,
        customer_id TEXT NOT NULL REFERENCES customers,
        description TEXT NOT NULL,
        date TEXT NOT NULL,
        amount TEXT NOT NULL,
        status TEXT NOT NULL
    );
    CREATE INDEX orders_customer ON orders (customer_id, date);
";

/// Writes the database to a new file. Fails when the file has these tables already.
pub fn write(path: &Path, now: Timestamp) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    for person in PEOPLE.iter().filter(|p| p.database.kept()) {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        transaction.execute(
            "INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                person.customer_id,
                person.customer_id.replace("C-", "ACC-"),
                person.name(),
                some(person.first),
                some(person.last),
                some(person.email),
                some(person.database.phone),
                some(person.database.mobile),
                person.vip,
                some(person.preferred_agent),
                (person.tickets.len() + person.deals.len()) as i64,
            ],
        )?;
        transaction.execute(
            "INSERT INTO customer_accounts VALUES (?1, ?2, ?3)",
            params![
                person.customer_id,
                person.account_status,
                person.last_contact.map(|d| format!("{} 09:30:00", date(now, -d - 1)))
            ],
        )?;
        for order in person.orders {
            transaction.execute(
                "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    order.id,
                    person.customer_id,
                    order.description,
                    date(now, -order.placed),
                    order.amount,
                    order.status
                ],
            )?;
        }
    }
    transaction.commit()
}

fn date(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_published_join_finds_a_customer_by_either_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("customers.db");
        write(&path, "2026-11-20T12:00:00Z".parse().unwrap()).unwrap();
        let connection = Connection::open(&path).unwrap();
        let find = |number: &str| {
            let sql = "SELECT c.id, ca.status, ca.last_visit FROM customers c
                LEFT JOIN customer_accounts ca ON ca.customer_id = c.id WHERE c.phone = ?1 OR c.mobile = ?1";
            connection
                .query_row(sql, [number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .ok()
                .map(|(id, status, visit): (String, String, Option<String>)| (id, status, visit))
        };
        let ada = ("C-1001".to_owned(), "active".to_owned(), Some("2026-11-01 09:30:00".to_owned()));
        assert_eq!(find(world::EVERYWHERE), Some(ada));
        assert_eq!(find("3035550144").map(|(id, ..)| id), Some("C-1018".into()));
        assert_eq!(find(world::UNKNOWN), None);
        let orders = "SELECT group_concat(id) FROM orders WHERE customer_id = 'C-1001'";
        let orders: String = connection.query_row(orders, [], |row| row.get(0)).unwrap();
        assert_eq!(orders, "O-4410,O-5002");
        assert!(write(&path, Timestamp::UNIX_EPOCH).is_err());
    }
}
