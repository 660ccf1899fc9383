// NHRP packets as a capture file: IPv4, GRE with protocol 0x2001, the packet.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { internetChecksum } from '#proto/nhrp/checksum.ts';
import { run } from './lab/process.ts';

const linkTypeRaw = 101;
const greProtocol = 47;
const nhrpEtherType = 0x2001;

function capture(packets: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0x4_0000, 16);
  header.writeUInt32LE(linkTypeRaw, 20);
  return Buffer.concat([header, ...packets.flatMap((packet) => recordOf(datagram(packet)))]);
}

function recordOf(datagram: Buffer): Buffer[] {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(datagram.length, 8);
  header.writeUInt32LE(datagram.length, 12);
  return [header, datagram];
}

function datagram(packet: Uint8Array): Buffer {
  const header = Buffer.alloc(24);
  header.set([0x45, 0xc0]);
  header.writeUInt16BE(header.length + packet.length, 2);
  header.set([64, greProtocol], 8);
  header.set([203, 0, 113, 7], 12);
  header.set([198, 51, 100, 1], 16);
  header.writeUInt16BE(internetChecksum(header.subarray(0, 20)), 10);
  header.writeUInt16BE(nhrpEtherType, 22);
  return Buffer.concat([header, packet]);
}

/** What tshark reads: for each packet, for each field, its values in order. */
export async function dissect(
  packets: readonly Uint8Array[],
  fields: readonly string[],
): Promise<readonly Readonly<Record<string, readonly string[]>>[]> {
  const directory = mkdtempSync(join(tmpdir(), 'dmwg-nhrp-'));
  try {
    const file = join(directory, 'nhrp.pcap');
    writeFileSync(file, capture(packets));
    // Its own preferences: those of the user may change what is shown.
    const env = { WIRESHARK_CONFIG_DIR: directory, HOME: directory };
    const columns = fields.flatMap((field) => ['-e', field]);
    const argv = ['tshark', '-n', '-r', file, '-T', 'fields', '-E', 'occurrence=a', '-E', 'aggregator=,', ...columns];
    const output = await run(argv, { env });
    return output
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const cells = line.split('\t');
        return Object.fromEntries(
          fields.map((field, index) => [field, (cells[index] ?? '').split(',').filter((one) => one !== '')]),
        );
      });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
