//! The name in a certificate: which cluster its holder belongs to, and what it is there.

use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "chronik://";

/// What somebody is in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Gives orders to brokers.
    Operator,
    /// The broker of this id.
    Broker(u32),
}

/// Who somebody is: `chronik://<namespace>/<cluster>/operator` or
/// `chronik://<namespace>/<cluster>/broker/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The namespace of the cluster.
    pub namespace: String,
    /// The cluster.
    pub cluster: String,
    /// What it is there.
    pub role: Role,
}

impl Identity {
    /// Somebody else of the same cluster.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Identity {
        Identity { role, ..self.clone() }
    }

    /// Whether both belong to the same cluster.
    #[must_use]
    pub fn is_of_the_cluster_of(&self, other: &Identity) -> bool {
        self.namespace == other.namespace && self.cluster == other.cluster
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { namespace, cluster, role } = self;
        match role {
            Role::Operator => write!(f, "{SCHEME}{namespace}/{cluster}/operator"),
            Role::Broker(id) => write!(f, "{SCHEME}{namespace}/{cluster}/broker/{id}"),
        }
    }
}

/// A text that is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form chronik://NAMESPACE/CLUSTER/operator or .../broker/ID")]
pub struct NoIdentity(pub String);

impl FromStr for Identity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Identity, NoIdentity> {
        let none = || NoIdentity(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(none)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let (namespace, cluster, role) = match parts.as_slice() {
            [namespace, cluster, "operator"] => (namespace, cluster, Role::Operator),
            [namespace, cluster, "broker", id] => {
                (namespace, cluster, Role::Broker(id.parse().map_err(|_| none())?))
            }
            _ => return Err(none()),
        };
        let is_name = |name: &str| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !name.is_empty() && name.bytes().all(allowed)
        };
        if !is_name(namespace) || !is_name(cluster) {
            return Err(none());
        }
        let found = Identity { namespace: (*namespace).into(), cluster: (*cluster).into(), role };
        // One identity has one spelling: no sign and no leading zero in an id.
        if found.to_string() == text { Ok(found) } else { Err(none()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_one_spelling() {
        for text in ["chronik://prod/demo/operator", "chronik://prod/demo/broker/12"] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "spiffe://prod/demo/operator",
            "chronik://prod/demo",
            "chronik://prod/demo/admin",
            "chronik://prod/demo/operator/",
            "chronik://prod//operator",
            "chronik://Prod/demo/operator",
            "chronik://prod/demo/broker/",
            "chronik://prod/demo/broker/01",
            "chronik://prod/demo/broker/+1",
            "chronik://prod/demo/broker/4294967296",
            "chronik://prod/a/b/broker/1",
        ] {
            assert_eq!(text.parse::<Identity>(), Err(NoIdentity(text.into())));
        }
    }
}
