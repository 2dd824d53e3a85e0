//! The recorded handshakes, against the codec and the key derivation.

mod common;

use common::recording::Recording;

#[test]
fn every_recording_is_whole() {
    for recording in Recording::all() {
        let (request, response) = recording.init();
        assert_eq!((request.wire.len(), response.wire.len()), (1, 1), "{}", recording.name);
        assert!(recording.encrypted().count() >= 4, "{}", recording.name);
        assert_eq!(
            recording.esp.packet[..4],
            recording.child.spi_gateway.to_be_bytes(),
            "{}",
            recording.name
        );
    }
}
