//! Generates the admin and peer services from the broker's proto files, both sides: tests play
//! the operator, and one plays a broker.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().compile_protos(
        &["../broker/proto/admin.proto", "../broker/proto/peer.proto"],
        &["../broker/proto"],
    )
}
