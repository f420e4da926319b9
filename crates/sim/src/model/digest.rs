//! The digest of a znode: CRC-32 over path, data and stored numbers.

use types::path;

use super::ModelNode;

/// What a znode adds to the digest of the tree.
pub(super) fn of_node(path: &str, node: &ModelNode) -> u64 {
    let path = if path == path::ROOT { "" } else { path };
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let mut crc = u32::MAX;
    for part in [path.as_bytes(), node.data.as_deref().unwrap_or_default()] {
        crc = update(crc, part);
    }
    u64::from(!update(crc, &node.stat.digest_bytes()))
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| {
        let index = usize::from(crc.to_le_bytes()[0] ^ byte);
        (crc >> 8) ^ TABLE[index]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0_u32;
    while index < 256 {
        let mut entry = index;
        let mut bit = 0;
        while bit < 8 {
            entry = if entry & 1 == 1 { (entry >> 1) ^ 0xEDB8_8320 } else { entry >> 1 };
            bit += 1;
        }
        table[index as usize] = entry;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_common_one() {
        assert_eq!(!update(u32::MAX, b"123456789"), 0xCBF4_3926);
    }
}
