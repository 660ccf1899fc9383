import { randomInt } from 'node:crypto';
import type { Command } from 'commander';
import { type Cie, type NhrpMessage } from '#proto/gen/dmwg/v1/nhrp.ts';
import { ProgramError, usageError } from '#proto/kit/errors.ts';
import { type Address, addressBits, familyOf, parseAddress, prefixOf } from '#proto/model/address.ts';
import { cieCode, defaultHopCount, errorCode } from '#proto/model/nhrp.ts';
import { type FindOptions, findRegistry, withFind } from './find.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { withRegistry } from './rpc.ts';
import { formatSpan } from './table.ts';

export function addResolve(program: Command, io: Io): void {
  const command = program.command('resolve').description('which node serves an address: one NHRP resolution');
  withOutput(withFind(command))
    .argument('<address>', 'an address of the overlay or of a network behind a node')
    .addHelpText('after', '\nExamples:\n  dmwg resolve 10.100.0.7\n  dmwg resolve 192.168.7.20 -o json\n')
    .action((text: string, options: FindOptions & OutputOptions) => resolve(io, text, options));
}

async function resolve(io: Io, text: string, options: FindOptions & OutputOptions): Promise<void> {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw usageError(parsed.fault);
  const address = parsed.value;
  const access = await findRegistry(io, options);
  const request = resolutionRequest(address, access.source ?? (familyOf(address) === 4 ? '0.0.0.0' : '::'));
  const answer = await withRegistry(access, (registry) =>
    registry.ask(({ nhrp }) => nhrp.resolve.bind(nhrp), { message: request }),
  );
  const view = resolutionView(address, answer.message);
  await present(io, options, () => Promise.resolve({ data: view, table: () => resolutionText(address, view) }));
  if (view.code !== cieCode.ok) {
    throw new ProgramError(`${address} is not resolved: ${view.reason ?? ''} (code ${String(view.code)})`);
  }
}

/** `source` is who asks: a node's address, or the unspecified address for an operator. */
function resolutionRequest(address: Address, source: string): NhrpMessage {
  const four = familyOf(address) === 4;
  return {
    addressFamily: four ? 1 : 2,
    protocolType: four ? 0x0800 : 0x86dd,
    hopCount: defaultHopCount,
    requestId: randomInt(1, 2 ** 32),
    sourceNbma: '',
    sourceProtocolAddress: source,
    destinationProtocolAddress: address,
    body: {
      $case: 'resolutionRequest',
      value: {
        router: false,
        authoritativeOnly: false,
        unique: false,
        sourceStable: false,
        cies: [],
        target: undefined,
      },
    },
    extensions: [],
  };
}

export interface ResolutionView {
  readonly code: number;
  readonly prefix: string | null;
  readonly node: string | null;
  readonly nodeId: string | null;
  readonly address: string | null;
  readonly nbma: readonly string[];
  readonly holdingTime: number;
  readonly authoritative: boolean;
  /** Why not; absent if resolved. */
  readonly reason?: string;
}

export function resolutionView(asked: Address, message: NhrpMessage | undefined): ResolutionView {
  const body = message?.body;
  if (body?.$case === 'errorIndication') return refusal(body.value.code, errorReason(body.value.code));
  if (body?.$case !== 'resolutionReply')
    throw new ProgramError('the registry answered with something else than a reply');
  const { cies, target, authoritative } = body.value;
  const cie = cies[0];
  if (!cie) return refusal(cieCode.noBinding, nakReason(cieCode.noBinding));
  if (cie.code !== cieCode.ok) return refusal(cie.code, nakReason(cie.code));
  return {
    code: cie.code,
    prefix: ciePrefix(asked, cie),
    node: target?.name ?? null,
    nodeId: target?.nodeId ?? null,
    address: cie.protocolAddress === '' ? (target?.address ?? null) : cie.protocolAddress,
    nbma: cie.nbma,
    holdingTime: cie.holdingTimeSeconds,
    authoritative,
  };
}

/** The CIE carries a length; the prefix is that of the address that was asked for. */
function ciePrefix(asked: Address, cie: Cie): string {
  return prefixOf(asked, Math.min(cie.prefixLength, addressBits(familyOf(asked))));
}

function refusal(code: number, reason: string): ResolutionView {
  const nothing = { prefix: null, node: null, nodeId: null, address: null, nbma: [], holdingTime: 0 };
  return { code, ...nothing, authoritative: false, reason };
}

/** RFC 2332 5.2.0.1 */
function nakReason(code: number): string {
  const reasons: Readonly<Record<number, string>> = {
    [cieCode.prohibited]: 'the registry does not allow it',
    [cieCode.noResources]: 'the registry has no resources',
    [cieCode.noBinding]: 'no registered node serves this address',
    [cieCode.notUnique]: 'its binding is not unique',
  };
  return reasons[code] ?? 'the registry refused';
}

/** RFC 2332 5.2.7 */
function errorReason(code: number): string {
  const reasons: Readonly<Record<number, string>> = {
    [errorCode.addressUnreachable]: 'the address cannot be reached',
    [errorCode.protocolError]: 'the registry calls the request wrong',
    [errorCode.hopCountExceeded]: 'too many hops',
  };
  return `error indication: ${reasons[code] ?? 'the registry refused'}`;
}

function resolutionText(asked: Address, view: ResolutionView): string {
  if (view.code !== cieCode.ok) return '';
  const nbma = view.nbma.length > 0 ? view.nbma.join(', ') : 'unknown';
  const time = formatSpan(view.holdingTime);
  return `${asked} is in ${view.prefix ?? ''} via ${view.address ?? ''} (${view.node ?? 'unknown'})
  NBMA ${nbma}, holding time ${time}${view.authoritative ? ', authoritative' : ''}\n`;
}
