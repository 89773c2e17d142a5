//! The configuration loaded anew while the gateway runs: on SIGHUP, and when a file that it was made
//! from changes. What is loaded is put in force by `app`; here is when, and what follows changes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::Running;
use crate::config::{Layers, MadeFrom, Reload, Unreadable};

/// Editors and deployments write several times: changes are looked at when there was none for so long.
const QUIET: Duration = Duration::from_millis(100);
/// But not later than this after the first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a configuration comes from: reads its layers again.
pub type Origin = Box<dyn Fn() -> Result<Layers, Unreadable> + Send>;

/// Loads anew whenever there is a reason to, until `stop`. Once this has returned, SIGHUP is heard;
/// the rest is the future's. Must be called within a runtime.
pub fn follow(running: Arc<Running>, origin: Origin, stop: CancellationToken) -> impl Future<Output = ()> + Send {
    let mut hangup = signal(SignalKind::hangup()).ok();
    async move {
        let changed = Arc::new(Notify::new());
        let mut watch = Watch::new(changed.clone());
        loop {
            if running.reload_when() == Reload::OnChange {
                watch.follow(&running.watched());
            } else {
                watch.rest();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // a signal that came while nobody listened is still there
                () = heard(&mut hangup) => if running.reload_when() == Reload::Off {
                    tracing::warn!("asked to load the configuration anew, which `server.reload` does not allow");
                    continue;
                },
                () = settled(&changed) => {}
            }
            // what came of it is logged, counted and shown where it is decided
            let _ = match origin() {
                Ok(layers) => running.reload(layers).await,
                Err(unreadable) => running.refuse(unreadable.into()),
            };
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending().await
    }
}

/// A change, and then some quiet. Dropping it forgets nothing that is not seen when files are read.
async fn settled(changed: &Notify) {
    changed.notified().await;
    let quiet = async { while tokio::time::timeout(QUIET, changed.notified()).await.is_ok() {} };
    let _ = tokio::time::timeout(PATIENCE, quiet).await;
}

/// The system's word on files.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    places: Arc<RwLock<Places>>,
    /// Folders that are watched: what happens to a name happens in its folder.
    folders: Folders,
    changed: Arc<Notify>,
}

/// With their inodes: another folder of the same name is another folder.
type Folders = BTreeMap<PathBuf, u64>;

/// Where something of ours is.
#[derive(Default, PartialEq)]
struct Places {
    /// Files, and the links by which they are reached.
    names: BTreeSet<PathBuf>,
    /// Folders in which every manifest counts.
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    fn new(changed: Arc<Notify>) -> Self {
        Self { watcher: None, places: Arc::default(), folders: Folders::new(), changed }
    }

    fn rest(&mut self) {
        *self = Self::new(self.changed.clone());
    }

    /// Watches what the configuration was made from, and nothing else.
    fn follow(&mut self, made_from: &MadeFrom) {
        let places = Places::of(made_from);
        let folders = places.watched();
        let is_new = folders != self.folders;
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
        if !is_new {
            return;
        }
        let watcher = self.watcher.take().map_or_else(|| self.watcher(), Ok);
        let followed = watcher.and_then(|mut watcher| {
            for (gone, _) in self.folders.iter().filter(|(folder, inode)| folders.get(*folder) != Some(inode)) {
                let _ = watcher.unwatch(gone); // it may not be there any more
            }
            for (folder, _) in folders.iter().filter(|(folder, inode)| self.folders.get(*folder) != Some(inode)) {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        self.folders = folders;
        match followed {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                // what changed before anybody watched was not heard
                self.changed.notify_one();
            }
            Err(error) => {
                let cause = format!("{:?}", error.kind);
                tracing::error!(cause, "changes of files cannot be noticed; SIGHUP loads the configuration anew");
            }
        }
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let (places, changed) = (self.places.clone(), self.changed.clone());
        notify::recommended_watcher(move |event: notify::Result<Event>| {
            let matters = match &event {
                Ok(event) => {
                    let places = places.read().unwrap_or_else(PoisonError::into_inner);
                    is_change(event.kind) && event.paths.iter().any(|path| places.hold(path)) || event.need_rescan()
                }
                Err(_) => true, // something may have been missed
            };
            if matters {
                changed.notify_one();
            }
        })
    }
}

/// Reading is none: we do it ourselves.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

impl Places {
    fn of(made_from: &MadeFrom) -> Self {
        let mut places = Self::default();
        for path in made_from.files.keys().chain(&made_from.folders) {
            places.add(path, 0);
        }
        places.folders = made_from.folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        places
    }

    /// A path with every link on the way: any of them may be pointed elsewhere, as deployments do.
    fn add(&mut self, path: &Path, links: usize) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut at = PathBuf::new();
        let mut rest = path.components();
        while let Some(part) = rest.next() {
            if part == std::path::Component::ParentDir {
                at.pop();
                continue;
            }
            at.push(part);
            if let Ok(target) = std::fs::read_link(&at)
                && links < 40
            {
                let target = at.parent().unwrap_or(&at).join(target).join(rest.as_path());
                self.names.insert(at);
                return self.add(&target, links + 1);
            }
        }
        self.names.insert(at);
    }

    /// The folders in which these places are; those that exist.
    fn watched(&self) -> Folders {
        let around = self.names.iter().filter_map(|name| name.parent());
        let all = around.chain(self.folders.iter().map(PathBuf::as_path));
        all.filter_map(|folder| {
            let meta = folder.metadata().ok().filter(std::fs::Metadata::is_dir)?;
            Some((folder.to_owned(), meta.ino()))
        })
        .collect()
    }

    fn hold(&self, path: &Path) -> bool {
        let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
        self.names.contains(path)
            || is_manifest && path.parent().is_some_and(|folder| self.folders.contains(folder))
            // a folder of ours itself came or went
            || self.folders.contains(path)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// As Kubernetes mounts a ConfigMap: `config.toml -> ..data/config.toml`, `..data -> ..1`.
    #[test]
    fn every_link_on_the_way_to_a_file_is_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/config.toml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/config.toml", root.join("config.toml")).unwrap();
        let mut made_from = MadeFrom::default();
        made_from.files.insert(root.join("config.toml"), None);
        let places = Places::of(&made_from);
        for name in ["config.toml", "..data", "..1/config.toml"] {
            assert!(places.hold(&root.join(name)), "{name}");
        }
        assert!(!places.hold(&root.join("store.db")));
        assert_eq!(Vec::from_iter(places.watched().into_keys()), [root.clone(), root.join("..1")]);
    }

    #[test]
    fn what_is_not_there_yet_is_watched_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut made_from = MadeFrom::default();
        made_from.files.insert(root.join("secret"), None);
        made_from.folders.insert(root.join("connectors"));
        let places = Places::of(&made_from);
        assert!(places.hold(&root.join("secret")) && places.hold(&root.join("connectors")));
        assert_eq!(Vec::from_iter(places.watched().into_keys()), [root]);
    }
}
