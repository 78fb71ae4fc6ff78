//! The operator dies after each of its side effects, in each life of a cluster, and whoever comes
//! after it ends in the same place. `cargo sim --crash-points` shows a table of it.

use chronik_sim::crash_points::{LIVES, Life, Point, SEED, effects};
use chronik_sim::{Report, runs};

fn check(life: &'static Life) {
    let whole = life.run(SEED, false);
    assert!(whole.broken.is_none(), "{}: {:?}\n{}", life.name, whole.broken, whole.last.join("\n"));
    let points = life.points(effects(&whole));
    assert!(!points.is_empty(), "{} has no side effects", life.name);
    let mut reports = Vec::new();
    let run = |n: usize| points[n].run(SEED, false);
    runs::in_order(points.len(), runs::jobs(), run, |report| reports.push(report));
    for (point, report) in points.iter().zip(&reports) {
        let Report { broken, last, .. } = report;
        let last = last.join("\n");
        assert!(broken.is_none(), "cargo sim --crash-point {point}: {broken:?}\n{last}");
        assert_eq!(report.coverage.of("operator deaths"), 1, "{point}");
    }
}

#[test]
fn every_life_ends_whole_whatever_side_effect_the_operator_dies_of() {
    LIVES.iter().for_each(check);
}

#[test]
fn points_have_names() {
    let life = Life::named("3-5").unwrap();
    for point in life.points(2) {
        let again: Point = point.to_string().parse().unwrap();
        assert_eq!(again.to_string(), point.to_string());
    }
    for wrong in ["", "3-5", "3-5:x:sent", "3-5:1:never", "7-9:1:sent", "3-5:1:sent:1"] {
        assert!(wrong.parse::<Point>().is_err(), "{wrong}");
    }
}

#[test]
fn a_point_that_is_not_reached_is_a_failure() {
    let never: Point = "birth-1:999:answered".parse().unwrap();
    assert_eq!(never.run(SEED, false).broken.unwrap().invariant, "crash point");
}
