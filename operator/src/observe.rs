//! IO: one pass over the platform and all brokers that run. Brokers are asked at the same time; one
//! that does not answer is absent, which means unknown.

use std::collections::BTreeMap;

use chronik_plan::{BrokerId, Observed};

use crate::admin::proto::DescribeResponse;
use crate::admin::{convert, grpc};
use crate::platform::Platform;

/// What one pass saw, for the plan and for people.
#[derive(Debug, Default)]
pub struct Sight {
    /// For the plan.
    pub observed: Observed,
    /// The answers as they came, for the table.
    pub answers: BTreeMap<BrokerId, DescribeResponse>,
    /// What could not be read, for people.
    pub errors: Vec<String>,
    /// Brokers that do not come up, in the platform's words.
    pub troubles: Vec<String>,
}

/// Looks at everything once.
pub async fn observe<P: Platform>(
    platform: &mut P,
    admin: &mut grpc::Admin,
    rebalanced_at: Option<&BTreeMap<BrokerId, u32>>,
) -> Result<Sight, P::Error> {
    let mut sight = Sight::default();
    sight.observed.processes = platform.observe().await?;
    admin.identify(platform.credentials());
    sight.observed.racks = platform.racks();
    sight.observed.advertised = platform.advertised();
    sight.observed.rebalanced_at = rebalanced_at.cloned();
    let mut calls = tokio::task::JoinSet::new();
    for (id, _) in sight.observed.processes.iter().filter(|(_, p)| p.running) {
        let id = *id;
        let Some(address) = platform.admin_address(id) else { continue };
        match admin.client(id, &address) {
            Ok(client) => {
                calls.spawn(async move { (id, grpc::describe(client).await) });
            }
            Err(e) => sight.errors.push(e.to_string()),
        }
    }
    while let Some(answer) = calls.join_next().await {
        let Ok((id, answer)) = answer else { continue };
        let answer = match answer {
            Ok(answer) => answer,
            Err(status) => {
                // A refused connection or a passed deadline is no error: the broker is not there yet.
                sight.errors.extend(grpc::mistrust(id, &status));
                continue;
            }
        };
        if answer.broker != id {
            let other = answer.broker;
            sight.errors.push(format!("broker {other} answers where broker {id} should be"));
            continue;
        }
        match convert::node(&answer) {
            Ok(node) => {
                sight.observed.nodes.insert(id, node);
                sight.answers.insert(id, answer);
            }
            Err(e) => sight.errors.push(e.to_string()),
        }
    }
    let known = sight.observed.nodes.values().find_map(|n| n.cluster_id.clone());
    if let Some(cluster_id) = known {
        platform.set_formed(&cluster_id)?;
    }
    sight.observed.formed = platform.formed();
    Ok(sight)
}
