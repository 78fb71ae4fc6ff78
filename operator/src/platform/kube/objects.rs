//! IO: the calls to the API server. Each has a deadline; each that changes something is made only
//! while this operator leads, and is counted as a side effect. What is deleted is named by its uid.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, ObjectMeta};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{KubeError, status_code};
use super::names::FIELD_MANAGER;
use super::within;
use crate::fence::Fence;
use crate::side_effects::SideEffects;

/// How long one call may take.
pub const CALL_MAX: Duration = Duration::from_secs(10);

/// A kind that lives in a namespace.
pub trait Kind:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + k8s_openapi::Resource
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
{
}

impl<K> Kind for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + k8s_openapi::Resource
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// The objects of one namespace.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    namespace: String,
    fence: Fence,
    side_effects: SideEffects,
}

impl Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod is told to end.
    Told,
    /// It is not there any more, or another one is.
    Gone,
    /// Its disruption budget does not allow it now.
    NotNow(String),
}

impl Objects {
    /// The objects of `namespace`; they are changed only while `fence` holds.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        fence: Fence,
        side_effects: SideEffects,
    ) -> Objects {
        Objects { client, namespace: namespace.to_owned(), fence, side_effects }
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Whether this operator still leads.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.fence.holds()
    }

    /// All objects of a kind that the labels select, from the API server itself.
    pub async fn list<K: Kind>(&self, selector: &str) -> Result<Vec<K>, KubeError> {
        let params = ListParams::default().labels(selector);
        let what = || format!("list {}s of {selector}", K::KIND);
        Ok(call(what, self.api::<K>().list(&params)).await?.items)
    }

    /// One object, if it is there.
    pub async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, KubeError> {
        call(|| format!("read {} {name}", K::KIND), self.api::<K>().get_opt(name)).await
    }

    /// All nodes; they belong to no namespace.
    pub async fn nodes(&self) -> Result<Vec<Node>, KubeError> {
        let (api, params) = (Api::all(self.client.clone()), ListParams::default());
        Ok(call(|| "list Nodes".into(), api.list(&params)).await?.items)
    }

    /// A volume, if it is there.
    pub async fn volume(&self, name: &str) -> Result<Option<PersistentVolume>, KubeError> {
        let api = Api::all(self.client.clone());
        call(|| format!("read PersistentVolume {name}"), api.get_opt(name)).await
    }

    /// Makes sure that a small object is what was rendered; true if it had to be written.
    pub async fn ensure<K: Kind>(&self, rendered: &K) -> Result<bool, KubeError> {
        let name = rendered.meta().name.clone().unwrap_or_default();
        let live = self.get::<K>(&name).await?;
        self.ensure_over(live.as_ref(), rendered).await
    }

    /// The same, of an object that was seen already, if it is there.
    pub async fn ensure_over<K: Kind>(
        &self,
        live: Option<&K>,
        rendered: &K,
    ) -> Result<bool, KubeError> {
        let mut wanted = json(rendered)?;
        within::stamp(&mut wanted);
        if let Some(live) = live
            && within::is_within(&wanted, &json(live)?)
        {
            return Ok(false);
        }
        let name = rendered.meta().name.clone().unwrap_or_default();
        self.write::<K>(&name, &wanted).await.map(|_| true)
    }

    /// Makes sure that a small object of ours is there as rendered, or not at all; true if something
    /// had to be changed.
    pub async fn ensure_if<K: Kind>(&self, wanted: bool, rendered: &K) -> Result<bool, KubeError> {
        if wanted {
            return self.ensure(rendered).await;
        }
        let name = rendered.meta().name.clone().unwrap_or_default();
        let Some(live) = self.get::<K>(&name).await? else { return Ok(false) };
        let is_ours = live.meta().owner_references == rendered.meta().owner_references;
        if !is_ours || live.meta().deletion_timestamp.is_some() {
            return Ok(false);
        }
        self.delete::<K>(live.meta()).await.map(|()| true)
    }

    /// Writes an object, whatever it was: server-side apply.
    pub async fn apply<K: Kind>(&self, rendered: &K) -> Result<K, KubeError> {
        let name = rendered.meta().name.clone().unwrap_or_default();
        self.write(&name, &json(rendered)?).await
    }

    async fn write<K: Kind>(&self, name: &str, wanted: &Value) -> Result<K, KubeError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api::<K>();
        self.change(|| format!("apply {} {name}", K::KIND), async {
            api.patch(name, &params, &Patch::Apply(wanted)).await
        })
        .await
    }

    /// Makes an object, or writes over exactly the version that it names: of two who do so at the
    /// same time only one succeeds.
    pub async fn put<K: Kind>(&self, object: &K) -> Result<K, KubeError> {
        let (meta, params) = (
            object.meta(),
            PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() },
        );
        let name = meta.name.clone().unwrap_or_default();
        let (api, is_new) = (self.api::<K>(), meta.resource_version.is_none());
        let done = self
            .change(|| format!("write {} {name}", K::KIND), async {
                if is_new {
                    api.create(&params, object).await
                } else {
                    api.replace(&name, &params, object).await
                }
            })
            .await;
        match done {
            Err(KubeError::Changed { .. }) if is_new => {
                Err(KubeError::Taken { what: format!("{} {name}", K::KIND) })
            }
            other => other,
        }
    }

    /// Changes some fields of an object that exists.
    pub async fn merge<K: Kind>(&self, name: &str, patch: &Value) -> Result<K, KubeError> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let api = self.api::<K>();
        self.change(|| format!("change {} {name}", K::KIND), async {
            api.patch(name, &params, &Patch::Merge(patch)).await
        })
        .await
    }

    /// Deletes this very object; one that is gone, or another of its name, is left alone.
    pub async fn delete<K: Kind>(&self, object: &ObjectMeta) -> Result<(), KubeError> {
        let name = object.name.clone().unwrap_or_default();
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: object.uid.clone(), resource_version: None }),
            ..DeleteParams::background()
        };
        let api = self.api::<K>();
        let gone = self
            .change(|| format!("delete {} {name}", K::KIND), async {
                api.delete(&name, &params).await.map(drop)
            })
            .await;
        match gone {
            Err(KubeError::Api { source, .. }) if status_code(&source) == Some(404) => Ok(()),
            other => other,
        }
    }

    /// Asks for a pod to end, through the API that drains of nodes use too: the API server then
    /// lets only one of us have its way.
    pub async fn evict(&self, pod: &ObjectMeta) -> Result<Evicted, KubeError> {
        let name = pod.name.clone().unwrap_or_default();
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: pod.name.clone(),
                namespace: pod.namespace.clone(),
                ..ObjectMeta::default()
            },
            // kube's own `evict` sends these under a name that the API server does not read.
            delete_options: Some(meta::DeleteOptions {
                preconditions: Some(meta::Preconditions {
                    uid: pod.uid.clone(),
                    resource_version: None,
                }),
                ..meta::DeleteOptions::default()
            }),
        };
        let what = || format!("evict Pod {name}");
        let api = self.api::<Pod>();
        let params = PostParams::default();
        let asked = self
            .change(what, async {
                let asked = api.create_subresource("eviction", &name, &params, &eviction);
                asked.await.map(|_: Value| ())
            })
            .await;
        match asked {
            Ok(()) => Ok(Evicted::Told),
            Err(KubeError::Api { source, what }) => match (status_code(&source), *source) {
                (Some(429), kube::Error::Api(status)) => {
                    Ok(Evicted::NotNow(status.message.clone()))
                }
                (Some(404), _) => Ok(Evicted::Gone),
                (_, source) => Err(KubeError::Api { what, source: Box::new(source) }),
            },
            // Another pod has its name by now.
            Err(KubeError::Changed { .. }) => Ok(Evicted::Gone),
            Err(other) => Err(other),
        }
    }

    async fn change<T>(
        &self,
        what: impl Fn() -> String,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let done = call(&what, request).await?;
        tracing::info!(namespace = self.namespace, "{}", what());
        self.side_effects.count();
        Ok(done)
    }
}

fn json(object: &impl Serialize) -> Result<Value, KubeError> {
    let what = || "an object".to_owned();
    serde_json::to_value(object).map_err(|source| KubeError::Json { what: what(), source })
}

/// One call with its deadline. A conflict is no error of anybody's: somebody was quicker.
pub async fn call<T>(
    what: impl Fn() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubeError> {
    match tokio::time::timeout(CALL_MAX, request).await {
        Err(_) => Err(KubeError::Silent { what: what(), after: CALL_MAX }),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) if status_code(&source) == Some(409) => {
            Err(KubeError::Changed { what: what() })
        }
        Ok(Err(source)) => Err(KubeError::Api { what: what(), source: Box::new(source) }),
    }
}
