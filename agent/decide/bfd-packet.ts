// The BFD control packet of RFC 5880 section 4.1 without authentication, as a value and as bytes.
import { fail, ok, type Result } from '#proto/model/result.ts';

export type BfdState = 'admin-down' | 'down' | 'init' | 'up';

export interface BfdPacket {
  /** 0 to 31, RFC 5880 section 4.1. */
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  /** Whether the sender's BFD outlives its control plane. */
  readonly independent: boolean;
  readonly demand: boolean;
  /** 1 to 255. */
  readonly multiplier: number;
  readonly myDiscriminator: number;
  /** 0 = not known yet. */
  readonly yourDiscriminator: number;
  /** Microseconds. */
  readonly desiredMinTx: number;
  /** Microseconds; 0 = send me no periodic packets. */
  readonly requiredMinRx: number;
  /** Microseconds; 0 = no echo packets. */
  readonly requiredMinEchoRx: number;
}

export const bfdDiagnostic = { none: 0, detectionTimeExpired: 1, neighbourDown: 3, administrativelyDown: 7 } as const;

const diagnosticNames = [
  'none',
  'detection-time-expired',
  'echo-failed',
  'neighbour-down',
  'forwarding-plane-reset',
  'path-down',
  'concatenated-path-down',
  'administratively-down',
  'reverse-concatenated-path-down',
] as const;

export type BfdDiagnosticName = (typeof diagnosticNames)[number] | 'reserved';

export function diagnosticName(diagnostic: number): BfdDiagnosticName {
  return diagnosticNames[diagnostic] ?? 'reserved';
}

const version = 1;
const packetLength = 24;
const states: readonly BfdState[] = ['admin-down', 'down', 'init', 'up'];
const flag = {
  poll: 0x20,
  final: 0x10,
  independent: 0x08,
  authentication: 0x04,
  demand: 0x02,
  multipoint: 0x01,
} as const;

export function encodeBfdPacket(packet: BfdPacket): Uint8Array {
  const bytes = new Uint8Array(packetLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (version << 5) | (packet.diagnostic & 0x1f));
  view.setUint8(
    1,
    (states.indexOf(packet.state) << 6) |
      (packet.poll ? flag.poll : 0) |
      (packet.final ? flag.final : 0) |
      (packet.independent ? flag.independent : 0) |
      (packet.demand ? flag.demand : 0),
  );
  view.setUint8(2, packet.multiplier);
  view.setUint8(3, packetLength);
  view.setUint32(4, packet.myDiscriminator);
  view.setUint32(8, packet.yourDiscriminator);
  view.setUint32(12, packet.desiredMinTx);
  view.setUint32(16, packet.requiredMinRx);
  view.setUint32(20, packet.requiredMinEchoRx);
  return bytes;
}

/** Applies every rule of RFC 5880 section 6.8.6 that needs no session; a fault means: discard. */
export function decodeBfdPacket(bytes: Uint8Array): Result<BfdPacket> {
  if (bytes.length < packetLength) return fail('bfd-short', 'the packet has fewer than 24 bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = view.getUint8(0);
  const flags = view.getUint8(1);
  const length = view.getUint8(3);
  if (first >> 5 !== version) return fail('bfd-version', `version ${String(first >> 5)} is not 1`);
  if (length < packetLength || length > bytes.length)
    return fail('bfd-length', `length ${String(length)} does not fit`);
  if (view.getUint8(2) === 0) return fail('bfd-multiplier', 'the detection multiplier is zero');
  if ((flags & flag.multipoint) !== 0) return fail('bfd-multipoint', 'the multipoint bit is set');
  if (view.getUint32(4) === 0) return fail('bfd-my-discriminator', 'my discriminator is zero');
  const state = states[flags >> 6] ?? 'down';
  if (view.getUint32(8) === 0 && (state === 'init' || state === 'up')) {
    return fail('bfd-your-discriminator', `your discriminator is zero in state ${state}`);
  }
  if ((flags & flag.authentication) !== 0) return fail('bfd-authentication', 'no authentication is in use');
  return ok({
    diagnostic: first & 0x1f,
    state,
    poll: (flags & flag.poll) !== 0,
    final: (flags & flag.final) !== 0,
    independent: (flags & flag.independent) !== 0,
    demand: (flags & flag.demand) !== 0,
    multiplier: view.getUint8(2),
    myDiscriminator: view.getUint32(4),
    yourDiscriminator: view.getUint32(8),
    desiredMinTx: view.getUint32(12),
    requiredMinRx: view.getUint32(16),
    requiredMinEchoRx: view.getUint32(20),
  });
}
