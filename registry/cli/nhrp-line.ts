// One NHRP message as a line for people and as an object for scripts.
import { addressBits, familyOf, prefixOf } from '#proto/model/address.ts';
import { type Cie, type NhrpMessage, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { Direction } from '#proto/model/nhrp-counters.ts';
import { errorWords, nakWords } from './code-words.ts';
import { printable } from './table.ts';

/** A message as the registry saw it pass. */
export interface Seen {
  /** RFC 3339 in UTC. */
  readonly time: string;
  readonly direction: Direction;
  /** At the other end. */
  readonly node: string;
  readonly message: NhrpMessage;
}

/** What `dmwg debug nhrp -o json` prints. */
export interface MessageView {
  readonly time: string;
  readonly direction: Direction;
  readonly node: string;
  readonly type: string;
  readonly requestId: number;
  readonly source: string;
  readonly destination: string;
  readonly hopCount: number;
  readonly sourceNbma: string | null;
  readonly flags: readonly string[];
  /** Of an error indication. */
  readonly error: number | null;
  readonly cies: readonly CieView[];
  /** The node behind the binding of a resolution. */
  readonly target: string | null;
  /** Types, in order. */
  readonly extensions: readonly number[];
}

interface CieView {
  readonly code: number;
  readonly prefix: string | null;
  /** Seconds. */
  readonly holdingTime: number;
  readonly mtu: number;
  readonly nbma: readonly string[];
  readonly preference: number;
}

export function messageView({ time, direction, node, message }: Seen): MessageView {
  const { body } = message;
  return {
    time,
    direction,
    node,
    type: body.type,
    requestId: message.requestId,
    source: message.source,
    destination: message.destination,
    hopCount: message.hopCount,
    sourceNbma: message.sourceNbma ?? null,
    flags: flagsOf(body),
    error: body.type === 'error-indication' ? body.code : null,
    cies: 'cies' in body ? body.cies.map((cie) => cieView(message, cie)) : [],
    target: 'target' in body ? (body.target?.name ?? null) : null,
    extensions: message.extensions.map(({ type }) => type),
  };
}

export function messageLine(view: MessageView): string {
  const { time, direction, node, type, requestId, source, destination } = view;
  const way = direction === 'received' ? 'received from' : 'sent to';
  const parts = [
    `${time} ${way} ${node}: ${type} id ${String(requestId)}, ${source} -> ${destination}`,
    ...(view.flags.length > 0 ? [`flags ${view.flags.join(' ')}`] : []),
    ...(view.error === null ? [] : [`error ${String(view.error)} (${errorWords(view.error)})`]),
    ...(view.cies.length > 0 ? [view.cies.map(cieText).join(' | ')] : []),
    ...(view.target === null ? [] : [`node ${view.target}`]),
  ];
  return `${printable(parts.join(', '))}\n`;
}

function cieText({ code, prefix, holdingTime, nbma }: CieView): string {
  return [
    `code ${String(code)} (${nakWords(code)})`,
    ...(prefix === null ? [] : [`prefix ${prefix}`]),
    `hold ${String(holdingTime)} s`,
    ...(nbma.length > 0 ? [`nbma ${nbma.join(' ')}`] : []),
  ].join(', ');
}

const flagNames = {
  router: 'router',
  authoritativeOnly: 'authoritative-only',
  authoritative: 'authoritative',
  unique: 'unique',
  destinationStable: 'destination-stable',
  sourceStable: 'source-stable',
  noReply: 'no-reply',
} as const;

/** The bits of RFC 2332 5.2 that are set, by name. */
function flagsOf(body: NhrpMessage['body']): string[] {
  const set = new Map<string, unknown>(Object.entries(body));
  return Object.entries(flagNames)
    .filter(([field]) => set.get(field) === true)
    .map(([, name]) => name);
}

/**
 * What a CIE is about: in a resolution the prefix around the address in question, as its protocol address is the next hop's
 * (RFC 2332 5.2.0.1); else the prefix around its protocol address.
 */
function cieView({ body, source, destination }: NhrpMessage, cie: Cie): CieView {
  const asked =
    body.type === 'resolution-request' ? source : body.type === 'resolution-reply' ? destination : undefined;
  const about = asked ?? cie.protocolAddress;
  const bits = about === undefined ? 0 : addressBits(familyOf(about));
  const length = cie.prefixLength === uniquePrefixLength ? bits : Math.min(cie.prefixLength, bits);
  return {
    code: cie.code,
    prefix: about === undefined ? null : prefixOf(about, length),
    holdingTime: cie.holdingTime,
    mtu: cie.mtu,
    nbma: cie.nbma,
    preference: cie.preference,
  };
}
