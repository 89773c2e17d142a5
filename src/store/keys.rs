//! API keys: made, listed, revoked; kept as SHA-256 beside a public id. The secret is shown once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::HashMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::database::Row;
use super::vault::hex;
use super::{Database, Error, Trouble};
use crate::domain::Organization;

/// Random bytes of a key's two parts.
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// How long a key that another process made or revoked may go unnoticed.
const REFRESH: Duration = Duration::from_secs(1);

/// What a key that was presented may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The public part of the key, fit for logs, audit rows and metrics.
    pub key_id: Arc<str>,
    pub organization: Organization,
    /// The name of the view it reads through.
    pub view: Arc<str>,
}

/// A key just made. The only time its secret is seen.
#[derive(Debug)]
pub struct NewKey {
    pub id: Arc<str>,
    /// `<id>.<secret>`: what a client presents.
    pub key: SecretString,
}

/// A key as lists show it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub grant: Grant,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Makes a key for a view of an organization.
pub async fn create(
    database: &Database,
    organization: &Organization,
    view: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<NewKey, Error> {
    let key = generate();
    let id: Arc<str> = id_of(&key).unwrap_or_default().into();
    insert(database, &id, &key, organization, view, now, expires_at).await?;
    Ok(NewKey { id, key })
}

/// A key that no store knows yet.
pub fn generate() -> SecretString {
    let id = hex(&rand::random::<[u8; ID_BYTES]>());
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>())).into()
}

/// What became of a key that was to be stored; with its public id.
#[derive(Debug, PartialEq, Eq)]
pub enum Added {
    New(Arc<str>),
    /// It was there. What it grants, and until when, stays as it was.
    Known(Arc<str>),
    Revoked(Arc<str>),
}

/// Stores a key that [`generate`] made elsewhere, unless it is there already. Several gateways may
/// do so at the same time.
///
/// # Errors
/// [`Error::NotAKey`] for what was not made by [`generate`], [`Error::OtherKey`] when the store has
/// a different key under its id.
pub async fn add(
    database: &Database,
    organization: &Organization,
    view: &str,
    key: &SecretString,
    now: Timestamp,
) -> Result<Added, Error> {
    let id: Arc<str> = id_of(key).ok_or(Error::NotAKey)?.into();
    let made = insert(database, &id, key, organization, view, now, None).await?;
    if made > 0 {
        return Ok(Added::New(id));
    }
    let rows = database.query(format!("{SELECT} WHERE id = $1"), vec![(&*id).into()]).await?;
    let row = rows.first().ok_or(Error::Damaged)?;
    if row.text(6)? != hash_of(key) {
        return Err(Error::OtherKey);
    }
    Ok(if listed(row)?.revoked_at.is_some() { Added::Revoked(id) } else { Added::Known(id) })
}

/// The public id of a key that is as long and as random as [`generate`] makes them.
fn id_of(key: &SecretString) -> Option<&str> {
    let (id, secret) = key.expose_secret().split_once('.')?;
    let fits = id.len() == 2 * ID_BYTES && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (fits && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == SECRET_BYTES)).then_some(id)
}

fn hash_of(key: &SecretString) -> String {
    hex(&Sha256::digest(key.expose_secret()))
}

/// Rows made: none when there is a key with this id.
async fn insert(
    database: &Database,
    id: &str,
    key: &SecretString,
    organization: &Organization,
    view: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<u64, Error> {
    let insert = "INSERT INTO api_keys (id, organization, view, hash, created_at, expires_at) \
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
    let values = vec![
        id.into(),
        organization.as_str().into(),
        view.into(),
        hash_of(key).into(),
        now.as_millisecond().into(),
        expires_at.map(Timestamp::as_millisecond).into(),
    ];
    database.execute(insert, values).await
}

/// All keys, revoked and expired ones too, oldest first.
pub async fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    let rows = database.query(format!("{SELECT} ORDER BY created_at, id"), vec![]).await?;
    rows.iter().map(listed).collect()
}

/// Revokes a key by its public id; `false` when there is no such key. A key that was revoked
/// before keeps its time.
pub async fn revoke(database: &Database, id: &str, now: Timestamp) -> Result<bool, Error> {
    let update = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1";
    Ok(database.execute(update, vec![id.into(), now.as_millisecond().into()]).await? > 0)
}

const SELECT: &str = "SELECT id, organization, view, created_at, expires_at, revoked_at, hash FROM api_keys";

fn listed(row: &Row) -> Result<Listed, Error> {
    let time = |millis| Timestamp::from_millisecond(millis).map_err(|_| Error::Damaged);
    Ok(Listed {
        grant: Grant {
            key_id: row.text(0)?.into(),
            organization: Organization::parse(row.text(1)?).ok_or(Error::Damaged)?,
            view: row.text(2)?.into(),
        },
        created_at: time(row.int(3)?)?,
        expires_at: row.int_or_null(4)?.map(time).transpose()?,
        revoked_at: row.int_or_null(5)?.map(time).transpose()?,
    })
}

/// The keys that are good now, in memory. A clone sees the same keys.
#[derive(Clone)]
pub struct Keys {
    known: Arc<ArcSwap<Known>>,
    trouble: Arc<Trouble>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Arc<str>, Key>,
    /// Written down whole, without an id of their own.
    fixed: Vec<Key>,
}

struct Key {
    hash: Hash,
    grant: Grant,
    expires_at: Option<Timestamp>,
}

/// SHA-256 of a whole key.
struct Hash([u64; 4]);

impl Hash {
    fn of(key: &str) -> Self {
        Self::read(&Sha256::digest(key).into())
    }

    fn read(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// In constant time.
    fn is(&self, other: &Self) -> bool {
        let equal = self.0.iter().zip(&other.0).fold(Choice::from(1), |all, (a, b)| all & a.ct_eq(b));
        equal.into()
    }
}

impl Keys {
    /// Reads the keys and keeps them up to date, about every second, until `stop`. While the store
    /// cannot be read, the keys last read stay good.
    pub async fn watch(database: Database, tracker: &TaskTracker, stop: CancellationToken) -> Result<Self, Error> {
        let known = Arc::new(ArcSwap::from_pointee(read(&database).await?));
        let keys = Self { known, trouble: Arc::default() };
        let Self { known, trouble } = keys.clone();
        tracker.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(REFRESH)).await.is_some() {
                match read(&database).await {
                    Ok(read) => {
                        known.store(Arc::new(read));
                        if trouble.set(None).is_some() {
                            tracing::info!("API keys can be read again");
                        }
                    }
                    Err(error) => {
                        let reason = error.reason();
                        if trouble.set(Some(reason)) != Some(reason) {
                            tracing::warn!(reason, %error, "API keys cannot be read; the last ones known stay good");
                        }
                    }
                }
            }
        });
        Ok(keys)
    }

    /// Keys that are written down: the whole key and what it grants.
    pub fn fixed(keys: Vec<(SecretString, Grant)>) -> Self {
        let key = |(key, grant): (SecretString, Grant)| {
            let hash = Hash::of(key.expose_secret());
            Key { hash, grant, expires_at: None }
        };
        let fixed = keys.into_iter().map(key).collect();
        let known = Arc::new(ArcSwap::from_pointee(Known { fixed, ..Known::default() }));
        Self { known, trouble: Arc::default() }
    }

    /// Why keys cannot be read from the store right now; those known before stay good.
    pub fn trouble(&self) -> Option<&'static str> {
        self.trouble.get()
    }

    /// What a presented key may do; `None` for unknown, wrong, expired and revoked ones alike.
    /// Touches memory only.
    pub fn verify(&self, presented: &str, now: impl FnOnce() -> Timestamp) -> Option<Grant> {
        let hash = Hash::of(presented);
        let known = self.known.load();
        let id = presented.split_once('.').map_or("", |(id, _)| id);
        let key = match known.by_id.get(id) {
            Some(key) => key.hash.is(&hash).then_some(key),
            // all are compared, whichever fits
            None => known.fixed.iter().fold(None, |found, key| match key.hash.is(&hash) {
                true => Some(key),
                false => found,
            }),
        }?;
        key.good(now).then(|| key.grant.clone())
    }

    /// No key is good now: `serve` refuses to start.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        let known = self.known.load();
        !known.by_id.values().chain(&known.fixed).any(|key| key.good(|| now))
    }
}

impl Key {
    /// Most keys do not expire: the clock is asked for those that do.
    fn good(&self, now: impl FnOnce() -> Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now() < expires_at)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

async fn read(database: &Database) -> Result<Known, Error> {
    let rows = database.query(format!("{SELECT} WHERE revoked_at IS NULL"), vec![]).await?;
    let mut known = Known::default();
    for row in &rows {
        let Listed { grant, expires_at, .. } = listed(row)?;
        let hash = row.text(6)?;
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = hash.get(i * 2..i * 2 + 2).ok_or(Error::Damaged)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| Error::Damaged)?;
        }
        known.by_id.insert(grant.key_id.clone(), Key { hash: Hash::read(&bytes), grant, expires_at });
    }
    Ok(known)
}
