//! Compiles the admin service's one definition: the client, and a server for the tests' broker.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tonic_prost_build::configure()
        .compile_protos(&["../broker/proto/admin.proto"], &["../broker/proto"])?;
    Ok(())
}
