//! Who the operator is to the brokers of each cluster. Passes over clusters find out, as they keep the
//! certificates; passes over topics show the same. Nothing is remembered across lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admin::grpc::Credentials;

type Known = BTreeMap<(String, String), Credentials>;

/// Credentials by namespace and cluster. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Identities(Arc<Mutex<Known>>);

impl Identities {
    /// Takes over what a pass over the cluster ended with.
    pub(super) fn set(&self, namespace: &str, cluster: &str, credentials: Credentials) {
        self.known().insert((namespace.to_owned(), cluster.to_owned()), credentials);
    }

    /// The cluster is gone.
    pub(super) fn forget(&self, namespace: &str, cluster: &str) {
        self.known().remove(&(namespace.to_owned(), cluster.to_owned()));
    }

    /// What to show to the brokers of a cluster; nothing, before the first pass over it has ended.
    pub(super) fn of(&self, namespace: &str, cluster: &str) -> Credentials {
        let known = self.known().get(&(namespace.to_owned(), cluster.to_owned())).cloned();
        known.unwrap_or(Credentials::Missing)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_no_pass_has_seen_is_shown_nothing() {
        let identities = Identities::default();
        assert!(matches!(identities.of("n", "demo"), Credentials::Missing));
        identities.set("n", "demo", Credentials::Plain);
        assert!(matches!(identities.clone().of("n", "demo"), Credentials::Plain));
        assert!(matches!(identities.of("m", "demo"), Credentials::Missing), "another namespace");
        identities.forget("n", "demo");
        assert!(matches!(identities.of("n", "demo"), Credentials::Missing));
    }
}
