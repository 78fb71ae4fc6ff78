//! What a load notices while nothing is done: every other pause is read beside this one.

use anyhow::Result;

use super::Scenario;
use crate::kube::client::RATE;
use crate::kube::cluster::STALL;
use crate::kube::world::World;

pub(super) const BASELINE: Scenario = Scenario {
    name: "baseline",
    what: "a minute of records while nothing is done",
    needs: &["exec"],
    is_short: false,
    run: baseline,
};

fn baseline(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    world.step("nothing, for a minute of records", Some(&load), |_| {
        load.wait_for_more(RATE as usize * 60, STALL)
    })?;
    world.judge(load).map(drop)
}
