//! The clients that people use: kcat (an old librdkafka), Java, rdkafka and rskafka, with every
//! compression, and the counts of the first report on this idea.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chronik_e2e::java::Jars;
use chronik_e2e::workload::{Plan, Workload};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::scenario::{self, ensure, equal};
use crate::target::Target;

#[test]
fn clients_and_tools() {
    scenario::run(
        "clients",
        &[
            ("ten messages, produced and consumed", ten_messages),
            ("a thousand messages, faster than 4,088 a second", thousand_messages),
            ("a producer and a consumer with a checked history", checked_history),
            ("kcat: list, produce, consume, all compressions", kcat),
            ("rdkafka: all compressions, headers, keys, empty values", rdkafka_round_trip),
            ("rskafka: produce, fetch, offsets", rskafka_round_trip),
            ("Java: VerifiableProducer and VerifiableConsumer", java_verifiable),
            ("Java: topics, configs, groups by the admin tools", java_admin),
            ("Java: ClientCompatibilityTest", java_compatibility),
        ],
    );
}

fn producer(
    target: &Target,
    more: &[(&str, &str)],
) -> Result<ThreadedProducer<DefaultProducerContext>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", target.bootstrap())
        .set("acks", "all")
        .set("enable.idempotence", "true");
    more.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    Ok(config.create()?)
}

/// What lies in partition 0, as many records as expected.
fn consume(
    target: &Target,
    topic: &str,
    count: usize,
) -> Result<Vec<rdkafka::message::OwnedMessage>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", target.bootstrap())
        .set("group.id", "by hand")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    let mut found = Vec::new();
    let start = Instant::now();
    while found.len() < count {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            found.push(message?.detach());
        }
        if start.elapsed() > Duration::from_secs(30) {
            bail!("{} of {count} records after 30 s", found.len());
        }
    }
    Ok(found)
}

fn ten_messages(target: &Target) -> Result<()> {
    let topic = target.topic("ten", 1, &[])?;
    let producer = producer(target, &[])?;
    for number in 0..10 {
        let value = format!("message {number}");
        let record = BaseRecord::<str, str>::to(&topic.name).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(Duration::from_secs(30))?;
    let found = consume(target, &topic.name, 10)?;
    let found: Vec<&[u8]> = found.iter().filter_map(Message::payload).collect();
    let expected: Vec<String> = (0..10).map(|number| format!("message {number}")).collect();
    let expected: Vec<&[u8]> = expected.iter().map(String::as_bytes).collect();
    equal("values", found, expected)
}

fn thousand_messages(target: &Target) -> Result<()> {
    let topic = target.topic("thousand", 1, &[])?;
    let producer = producer(target, &[("linger.ms", "1")])?;
    // Connections and the producer's id are not what is measured.
    let send = |value: &str| -> Result<()> {
        let record = BaseRecord::<str, str>::to(&topic.name).payload(value);
        Ok(producer.send(record).map_err(|(error, _)| error)?)
    };
    send("warm")?;
    producer.flush(Duration::from_secs(30))?;
    let start = Instant::now();
    for number in 0..1_000 {
        send(&format!("message {number}"))?;
    }
    producer.flush(Duration::from_secs(30))?;
    let rate = 1_000.0 / start.elapsed().as_secs_f64();
    println!("    {rate:.0} messages a second, acknowledged by all");
    ensure(rate > 4_088.0, format!("only {rate:.0} messages a second"))?;
    equal("records", consume(target, &topic.name, 1_001)?.len(), 1_001)
}

fn checked_history(target: &Target) -> Result<()> {
    let topic = target.topic("history", 6, &[])?;
    let workload = Workload::start(Plan {
        bootstrap: target.bootstrap(),
        topic: topic.name,
        partitions: 6,
        rate: 2_000,
        value_bytes: 200,
    })?;
    let stall = Duration::from_secs(30);
    workload.wait_for_more(4_000, stall)?;
    let summary = workload.finish(stall)?;
    println!("    {} records, longest pause {:?}", summary.acked, summary.longest_pause);
    Ok(())
}

fn run(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}; see `make test-tools`"))?;
    child.stdin.take().context("a pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn kcat(target: &Target) -> Result<()> {
    let kcat = |arguments: &[&str], input: &str| {
        run(Command::new("kcat").args(["-b", &target.bootstrap()]).args(arguments), input)
    };
    let listed = kcat(&["-L"], "")?;
    ensure(listed.contains("3 brokers:"), format!("kcat -L: {listed}"))?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = target.topic(&format!("kcat-{codec}"), 1, &[])?;
        let input: String = (0..200).map(|number| format!("{codec} line {number}\n")).collect();
        kcat(&["-P", "-t", &topic.name, "-z", codec, "-X", "acks=all"], &input)?;
        let output = kcat(&["-C", "-t", &topic.name, "-o", "beginning", "-e", "-q"], "")?;
        equal(codec, output, input)?;
    }
    Ok(())
}

fn rdkafka_round_trip(target: &Target) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = target.topic(&format!("rdkafka-{codec}"), 1, &[])?;
        let producer = producer(target, &[("compression.codec", codec), ("linger.ms", "20")])?;
        for number in 0..50u8 {
            let value = vec![number; usize::from(number) * 40];
            let headers = rdkafka::message::OwnedHeaders::new()
                .insert(rdkafka::message::Header { key: "h", value: Some("1") })
                .insert(rdkafka::message::Header { key: "h", value: Some("2") });
            let key = [number];
            let record = BaseRecord::to(&topic.name)
                .key(&key[..])
                .payload(&value[..])
                .headers(headers)
                .timestamp(1_000 + i64::from(number));
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(Duration::from_secs(30))?;
        for (number, message) in (0u8..).zip(consume(target, &topic.name, 50)?) {
            equal("key", message.key(), Some(&[number][..]))?;
            let value = vec![number; usize::from(number) * 40];
            equal("value", message.payload().unwrap_or_default(), &value[..])?;
            equal("time", message.timestamp().to_millis(), Some(1_000 + i64::from(number)))?;
            let headers = message.headers().map_or(0, rdkafka::message::Headers::count);
            equal("headers of one name", headers, 2)?;
        }
    }
    Ok(())
}

fn rskafka_round_trip(target: &Target) -> Result<()> {
    use rskafka::client::ClientBuilder;
    use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
    use rskafka::record::Record;

    let topic = target.topic("rskafka", 1, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = ClientBuilder::new(target.addresses.clone()).build().await?;
        let partition =
            client.partition_client(&topic.name, 0, UnknownTopicHandling::Retry).await?;
        let record = |number: u8| Record {
            key: Some(vec![number]),
            value: Some(vec![number; 100]),
            headers: BTreeMap::from([("name".to_owned(), vec![number])]),
            timestamp: chrono_of(i64::from(number)),
        };
        let sent: Vec<Record> = (0..20).map(record).collect();
        let offsets = partition.produce(sent.clone(), Compression::NoCompression).await?;
        equal("offsets", offsets, (0..20).collect())?;
        equal("latest", partition.get_offset(OffsetAt::Latest).await?, 20)?;
        equal("earliest", partition.get_offset(OffsetAt::Earliest).await?, 0)?;
        let (found, end) = partition.fetch_records(0, 1..1_000_000, 1_000).await?;
        equal("end", end, 20)?;
        equal("records", found.into_iter().map(|found| found.record).collect(), sent)
    })
}

/// rskafka takes its time type from chrono; milliseconds are all that Kafka keeps.
fn chrono_of(ms: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

fn java_verifiable(target: &Target) -> Result<()> {
    let jars = Jars::fetch()?;
    let topic = target.topic("verifiable", 6, &[])?;
    let produced = jars.run(
        "org.apache.kafka.tools.VerifiableProducer",
        &[
            "--bootstrap-server",
            &target.bootstrap(),
            "--topic",
            &topic.name,
            "--max-messages",
            "5000",
            "--acks",
            "-1",
        ],
    )?;
    let acked = produced.matches("producer_send_success").count();
    equal("acknowledged", acked, 5_000)?;
    let group = format!("verifiable-{}", std::process::id());
    let consumed = jars.run(
        "org.apache.kafka.tools.VerifiableConsumer",
        &[
            "--bootstrap-server",
            &target.bootstrap(),
            "--topic",
            &topic.name,
            "--group-id",
            &group,
            "--max-messages",
            "5000",
            "--reset-policy",
            "earliest",
        ],
    )?;
    let count: u64 = consumed
        .lines()
        .filter(|line| line.contains("\"records_consumed\""))
        .filter_map(|line| {
            line.split("\"count\":").nth(1)?.split([',', '}']).next()?.parse::<u64>().ok()
        })
        .sum();
    equal("consumed", count, 5_000)
}

fn java_admin(target: &Target) -> Result<()> {
    let jars = Jars::fetch()?;
    let servers = target.bootstrap();
    let name = format!("by-java-{}", std::process::id());
    let topic = |arguments: &[&str]| {
        let all = [&["--bootstrap-server", &servers][..], arguments].concat();
        jars.run("org.apache.kafka.tools.TopicCommand", &all)
    };
    topic(&[
        "--create",
        "--topic",
        &name,
        "--partitions",
        "3",
        "--replication-factor",
        "3",
        "--config",
        "retention.ms=3600000",
    ])?;
    let described = topic(&["--describe", "--topic", &name])?;
    ensure(described.contains("PartitionCount: 3"), format!("described: {described}"))?;
    ensure(described.contains("retention.ms=3600000"), format!("described: {described}"))?;
    topic(&["--alter", "--topic", &name, "--partitions", "5"])?;
    let described = topic(&["--describe", "--topic", &name])?;
    ensure(described.contains("PartitionCount: 5"), format!("after --alter: {described}"))?;
    let configs = |arguments: &[&str]| {
        let entity =
            ["--bootstrap-server", &servers, "--entity-type", "topics", "--entity-name", &name];
        jars.run("kafka.admin.ConfigCommand", &[&entity[..], arguments].concat())
    };
    configs(&["--alter", "--add-config", "max.message.bytes=2000"])?;
    let described = configs(&["--describe"])?;
    ensure(described.contains("max.message.bytes=2000"), format!("configs: {described}"))?;
    topic(&["--delete", "--topic", &name])?;
    let listed = topic(&["--list"])?;
    ensure(!listed.lines().any(|line| line == name), "the topic is still listed")
}

/// Whether the tool should expect ACLs follows from what is advertised; the rest has to be there.
fn java_compatibility(target: &Target) -> Result<()> {
    let topic = target.topic("compatibility", 1, &[])?;
    let versions: ApiVersionsResponse =
        target.connect()?.call(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default())?;
    let describes_acls =
        versions.api_keys.iter().any(|api| api.api_key == ApiKey::DescribeAcls as i16);
    Jars::fetch()?.run(
        "org.apache.kafka.tools.ClientCompatibilityTest",
        &[
            "--bootstrap-server",
            &target.bootstrap(),
            "--topic",
            &topic.name,
            "--offsets-for-times-supported",
            "true",
            "--cluster-id-supported",
            "true",
            "--expect-record-too-large-exception",
            "false",
            "--num-cluster-nodes",
            "3",
            "--create-topics-supported",
            "true",
            "--describe-acls-supported",
            if describes_acls { "true" } else { "false" },
            "--describe-configs-supported",
            "true",
            "--idempotent-producer-supported",
            "true",
        ],
    )?;
    Ok(())
}
