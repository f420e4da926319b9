//! Several operations in one request.

use types::{CreateCall, MultiOp, MultiReadOp};

use super::{create, put_version, version};
use crate::jute::{self, DecodeError, Reader};
use crate::multi::Mark;
use crate::opcode::{self, OpCode};

/// Takes the writes of a multi. One that can not be part of it spoils the whole.
pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Vec<MultiOp<'a>>, DecodeError> {
    let mut ops = Vec::new();
    while let Some(mark) = Mark::decode(reader)? {
        ops.push(decode_op(mark.kind, reader)?);
    }
    Ok(ops)
}

/// Takes the reads of a multiRead. A watch is never set, whatever the client says.
pub(super) fn decode_reads<'a>(
    reader: &mut Reader<'a>,
) -> Result<Vec<MultiReadOp<'a>>, DecodeError> {
    const GET_DATA: i32 = OpCode::GetData.raw();
    const GET_CHILDREN: i32 = OpCode::GetChildren.raw();
    let mut ops = Vec::new();
    while let Some(mark) = Mark::decode(reader)? {
        let op = match mark.kind {
            GET_DATA => MultiReadOp::GetData { path: reader.text_not_null("path")? },
            GET_CHILDREN => MultiReadOp::GetChildren { path: reader.text_not_null("path")? },
            kind => return Err(reader.unknown("operation in a multiRead", kind)),
        };
        let _watch = reader.bool()?;
        ops.push(op);
    }
    Ok(ops)
}

/// Appends the writes and the end.
pub(super) fn put(out: &mut Vec<u8>, ops: &[MultiOp<'_>]) {
    for op in ops {
        Mark::of_op(kind(op)).put(out);
        match op {
            MultiOp::Create(create) => create::put(out, create),
            MultiOp::Delete { path, version } | MultiOp::Check { path, version } => {
                jute::put_text(out, path);
                put_version(out, *version);
            }
            MultiOp::SetData { path, data, version } => {
                jute::put_text(out, path);
                jute::put_buffer(out, data.as_deref());
                put_version(out, *version);
            }
        }
    }
    Mark::put_end(out);
}

/// Appends the reads and the end.
pub(super) fn put_reads(out: &mut Vec<u8>, ops: &[MultiReadOp<'_>]) {
    for op in ops {
        let (opcode, path) = match op {
            MultiReadOp::GetData { path } => (OpCode::GetData, path),
            MultiReadOp::GetChildren { path } => (OpCode::GetChildren, path),
        };
        Mark::of_op(opcode.raw()).put(out);
        jute::put_text(out, path);
        jute::put_bool(out, false);
    }
    Mark::put_end(out);
}

fn decode_op<'a>(kind: i32, reader: &mut Reader<'a>) -> Result<MultiOp<'a>, DecodeError> {
    const CREATE: i32 = OpCode::Create.raw();
    const CREATE2: i32 = OpCode::Create2.raw();
    const CREATE_CONTAINER: i32 = OpCode::CreateContainer.raw();
    const CREATE_TTL: i32 = OpCode::CreateTtl.raw();
    const DELETE: i32 = OpCode::Delete.raw();
    const SET_DATA: i32 = OpCode::SetData.raw();
    match kind {
        CREATE => decode_create(CreateCall::Create, reader),
        CREATE2 => decode_create(CreateCall::Create2, reader),
        CREATE_CONTAINER => decode_create(CreateCall::Container, reader),
        CREATE_TTL => decode_create(CreateCall::Ttl, reader),
        DELETE => {
            let path = reader.text_not_null("path")?;
            Ok(MultiOp::Delete { path, version: version(reader)? })
        }
        SET_DATA => {
            let path = reader.text_not_null("path")?;
            let data = reader.buffer()?.map(Into::into);
            Ok(MultiOp::SetData { path, data, version: version(reader)? })
        }
        opcode::CHECK => {
            let path = reader.text_not_null("path")?;
            Ok(MultiOp::Check { path, version: version(reader)? })
        }
        _ => Err(reader.unknown("operation in a multi", kind)),
    }
}

fn decode_create<'a>(
    call: CreateCall,
    reader: &mut Reader<'a>,
) -> Result<MultiOp<'a>, DecodeError> {
    let raw = create::RawCreate::decode(call, reader)?;
    let unknown = reader.unknown("create mode in a multi", raw.flags());
    raw.into_multi_create().map(MultiOp::Create).ok_or(unknown)
}

const fn kind(op: &MultiOp<'_>) -> i32 {
    match op {
        MultiOp::Create(create) => create::opcode(create.call).raw(),
        MultiOp::Delete { .. } => OpCode::Delete.raw(),
        MultiOp::SetData { .. } => OpCode::SetData.raw(),
        MultiOp::Check { .. } => opcode::CHECK,
    }
}
