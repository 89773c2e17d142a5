//! The store's key: seals what is personal, makes it searchable without opening it, and chains
//! rows so that an edit shows. The key lies outside the store.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;

use super::Error;
use crate::config;
use crate::domain::Organization;

const NONCE: usize = 24;

pub(super) struct Vault {
    seal: XChaCha20Poly1305,
    find: Hmac<Sha256>,
    chain: Hmac<Sha256>,
}

/// Where a sealed value belongs. Copied elsewhere, it does not open.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub organization: &'a Organization,
    pub table: &'static str,
    pub kind: &'a str,
}

impl Vault {
    /// The configured key, else the key file's. A store that is one file gets a new key file when
    /// there is none.
    pub(super) fn open(settings: &config::Store, may_make: bool) -> Result<Self, Error> {
        if let Some(key) = &settings.key {
            return Self::of(key.expose_secret());
        }
        let path = &settings.key_file;
        match fs::metadata(path) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => return Err(Error::KeyExposed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && may_make => make(path).map_err(Error::KeyFile)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::KeyMissing),
            Err(error) => return Err(Error::KeyFile(error)),
        }
        Self::of(&fs::read_to_string(path).map_err(Error::KeyFile)?)
    }

    fn of(base64: &str) -> Result<Self, Error> {
        let key = STANDARD.decode(base64.trim()).ok().filter(|key| key.len() == 32).ok_or(Error::Key)?;
        // one key for each use
        let derive = |purpose: &str| keyed(&key).chain_update(purpose).finalize().into_bytes();
        Ok(Self {
            seal: XChaCha20Poly1305::new(&derive("seal")),
            find: keyed(&derive("find")),
            chain: keyed(&derive("chain")),
        })
    }

    /// `1.<base64 of nonce and ciphertext>`
    pub(super) fn seal(&self, place: Place<'_>, text: &str) -> Result<String, Error> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: &place.bytes() };
        let sealed = self.seal.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::Damaged)?;
        Ok(format!("1.{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    pub(super) fn open_sealed(&self, place: Place<'_>, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed.strip_prefix("1.")?).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        String::from_utf8(self.seal.decrypt(&XNonce::from(nonce), payload).ok()?).ok()
    }

    /// What equal texts in equal places have in common, and nobody can turn back.
    pub(super) fn find(&self, place: Place<'_>, text: &str) -> String {
        let mut mac = self.find.clone();
        [place.organization.as_str(), place.table, place.kind, text].iter().for_each(|part| add(&mut mac, part));
        hex(&mac.finalize().into_bytes())
    }

    /// The link of a chain: only who has the key can make one.
    pub(super) fn link<'a>(&self, parts: impl Iterator<Item = &'a str>) -> String {
        let mut link = self.begin_link();
        parts.for_each(|part| link.add(part));
        link.end()
    }

    pub(super) fn begin_link(&self) -> Link {
        Link(self.chain.clone())
    }
}

/// A link of a chain that is being made, part by part.
pub(super) struct Link(Hmac<Sha256>);

impl Link {
    pub(super) fn add(&mut self, part: &str) {
        self.add_parts(part, "");
    }

    /// One part of two pieces.
    pub(super) fn add_parts(&mut self, first: &str, second: &str) {
        self.0.update(&((first.len() + second.len()) as u64).to_be_bytes());
        self.0.update(first.as_bytes());
        self.0.update(second.as_bytes());
    }

    pub(super) fn end(self) -> String {
        hex(&self.0.finalize().into_bytes())
    }
}

impl Place<'_> {
    fn bytes(self) -> Vec<u8> {
        [self.organization.as_str(), "\0", self.table, "\0", self.kind].concat().into_bytes()
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length is good")
}

/// Each part with its length, so that no two lists of parts are alike.
fn add(mac: &mut Hmac<Sha256>, part: &str) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part.as_bytes());
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A new key, readable by its owner only. Of several processes that start at once one wins.
fn make(path: &Path) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    let key: [u8; 32] = rand::random();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
