import { errorCode } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { type PacketError, type PacketFault, packetFault } from './fault.ts';

/** Writes octets, most significant first. What does not fit its field is a fault; the first one stays and is the result. */
export class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;
  #fault: PacketFault | undefined;

  get length(): number {
    return this.#length;
  }

  u8(value: number, what: string): void {
    this.#integer(value, 1, what);
  }

  u16(value: number, what: string): void {
    this.#integer(value, 2, what);
  }

  u32(value: number, what: string): void {
    this.#integer(value, 4, what);
  }

  octets(value: Uint8Array): void {
    this.#grow(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** A u16 length and what `write` writes. */
  counted(what: string, write: (inner: Writer) => void): void {
    const inner = new Writer();
    write(inner);
    const { length } = inner;
    if (length > 0xffff) {
      this.fail(`${what}: ${String(length)} octets are more than its length field can say`, errorCode.sduTooBig);
    } else this.u16(length, what);
    this.append(inner);
  }

  /** What another writer has, its fault included. */
  append(other: Writer): void {
    this.#fault ??= other.#fault;
    this.octets(other.#bytes.subarray(0, other.#length));
  }

  fail(message: string, error: PacketError = errorCode.protocolError): void {
    this.#fault ??= packetFault(error, this.#length, message);
  }

  result(): Result<Uint8Array, PacketFault> {
    return this.#fault ? { ok: false, fault: this.#fault } : ok(this.#bytes.slice(0, this.#length));
  }

  #integer(value: number, octets: 1 | 2 | 4, what: string): void {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * octets)) {
      this.fail(`${what}: ${String(value)} does not fit ${String(8 * octets)} bits`);
    }
    this.#grow(octets);
    for (let octet = octets - 1; octet >= 0; octet -= 1) {
      this.#bytes[this.#length] = (value >>> (8 * octet)) & 0xff;
      this.#length += 1;
    }
  }

  #grow(octets: number): void {
    const needed = this.#length + octets;
    if (needed <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}
