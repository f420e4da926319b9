//! Frames, for tests.

/// The body of the only frame in `frame`.
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    let limit = wire::limits::FRAME_BYTES_MAX;
    let (body, consumed) = wire::frame::split(frame, limit).expect("valid").expect("whole");
    assert_eq!(consumed, frame.len(), "more than one frame");
    body
}
