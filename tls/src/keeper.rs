//! Looks at a directory every few seconds and takes over what is new in it. What makes no sense is
//! told once, and the last good state stays in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::material::{Files, MaterialError};

/// How often the directory is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What is in use now.
pub type Current<T> = watch::Receiver<Arc<T>>;

/// Keeps `T` as some files of a directory say.
#[derive(Debug)]
pub struct Keeper<T, F> {
    dir: PathBuf,
    names: &'static [&'static str],
    parse: F,
    files: Files,
    /// What was found wrong the last time, so that it is told once.
    complaint: Option<String>,
    current: watch::Sender<Arc<T>>,
}

impl<T, F> Keeper<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&Files) -> Result<T, MaterialError> + Send + Sync + 'static,
{
    /// Reads the files for the first time; that has to succeed.
    pub fn open(
        dir: &Path,
        names: &'static [&'static str],
        parse: F,
    ) -> Result<(Keeper<T, F>, Current<T>), MaterialError> {
        let files = Files::read(dir, names)?;
        let (current, seen) = watch::channel(Arc::new(parse(&files)?));
        let dir = dir.to_owned();
        Ok((Keeper { dir, names, parse, files, complaint: None, current }, seen))
    }

    /// Looks again once; whether something new was taken over.
    pub fn look(&mut self) -> bool {
        let read = Files::read(&self.dir, self.names).and_then(|files| {
            if files == self.files {
                return Ok(None);
            }
            let parsed = (self.parse)(&files)?;
            Ok(Some((files, parsed)))
        });
        match read {
            Ok(None) => {
                self.complaint = None;
                false
            }
            Ok(Some((files, parsed))) => {
                (self.files, self.complaint) = (files, None);
                self.current.send_replace(Arc::new(parsed));
                tracing::info!(dir = %self.dir.display(), "took over a new certificate");
                true
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|c| format!(": {c}"));
                let complaint = format!("{error}{}", cause.unwrap_or_default());
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        dir = %self.dir.display(), reason = complaint,
                        "the certificate there cannot be used; the last good one stays"
                    );
                    self.complaint = Some(complaint);
                }
                false
            }
        }
    }

    /// Looks again and again, off the thread that serves.
    pub async fn keep(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(keeper) => self = keeper,
                Err(_) => return,
            }
        }
    }
}
