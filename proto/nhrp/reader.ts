import { errorCode } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { type PacketError, type PacketFault, packetFault } from './fault.ts';

/**
 * Reads a window of octets, most significant octet first. The first fault stays, and ends the window: what is read after it
 * is zeros, `left` is 0, so that loops end, and only `result` tells the values from the rubbish. A fault in a part is one of the whole.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  readonly #error: PacketError;
  readonly #whole: Reader | undefined;
  #at = 0;
  #end: number;
  #fault: PacketFault | undefined;

  /** `base` is where the window starts in the packet, `error` what a fault in it is. */
  constructor(bytes: Uint8Array, base = 0, error: PacketError = errorCode.protocolError, whole?: Reader) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
    this.#error = error;
    this.#whole = whole;
    this.#end = bytes.length;
  }

  /** Octets not yet read. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** In the packet. */
  get offset(): number {
    return this.#base + this.#at;
  }

  u8(): number {
    const at = this.#advance(1);
    return at === undefined ? 0 : this.#view.getUint8(at);
  }

  u16(): number {
    const at = this.#advance(2);
    return at === undefined ? 0 : this.#view.getUint16(at);
  }

  u32(): number {
    const at = this.#advance(4);
    return at === undefined ? 0 : this.#view.getUint32(at);
  }

  /** A copy. */
  octets(length: number): Uint8Array {
    const at = this.#advance(length);
    return at === undefined ? new Uint8Array() : this.#bytes.slice(at, at + length);
  }

  rest(): Uint8Array {
    return this.octets(this.left);
  }

  /** The next `length` octets as a window of their own. */
  part(length: number, error: PacketError = this.#error): Reader {
    const base = this.offset;
    const at = this.#advance(length);
    return new Reader(at === undefined ? new Uint8Array() : this.#bytes.subarray(at, at + length), base, error, this);
  }

  /** The value of a parser; its fault becomes one of this window. */
  take<T>(parsed: Result<T>): T | undefined {
    if (parsed.ok) return parsed.value;
    this.fail(parsed.fault.message);
    return undefined;
  }

  fail(message: string, offset = this.offset, error = this.#error): void {
    this.#keep(packetFault(error, offset, message));
  }

  result<T>(value: T): Result<T, PacketFault> {
    return this.#fault ? { ok: false, fault: this.#fault } : ok(value);
  }

  #keep(fault: PacketFault): void {
    this.#fault ??= fault;
    this.#end = this.#at;
    if (this.#whole) this.#whole.#keep(fault);
  }

  #advance(length: number): number | undefined {
    if (length > this.left) {
      this.fail(`${String(length)} octets are needed here, and ${String(this.left)} are left`);
      return undefined;
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
