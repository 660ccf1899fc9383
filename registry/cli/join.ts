import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join as joinPath, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { formatAgentConfig, parseAgentConfig } from '#proto/codec/agent-config.ts';
import { type JoinToken, parseJoinToken } from '#proto/codec/join-token.ts';
import type { EnrolResponse } from '#proto/gen/dmwg/v1/enrolment.ts';
import { createCsr, parseIdentity, pemOf } from '#proto/kit/certificate.ts';
import { ProgramError, systemCode, usageError } from '#proto/kit/errors.ts';
import type { Secret } from '#proto/kit/secret.ts';
import { type Address, parseAddress, parseAnnounced, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { type NodeName, parseNewName } from '#proto/model/names.ts';
import { collect } from './find.ts';
import { parseInteger } from './init.ts';
import { Faults, type Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { fetchPinnedCa, type PinnedCa } from './pin.ts';
import { type Access, type Registry, withRegistry } from './rpc.ts';
import { exists } from './state-dir.ts';
import { checkWritable, type StateFile, writeStateDir } from './write-dir.ts';

interface JoinOptions extends OutputOptions {
  readonly stateDir: string;
  readonly name?: string;
  readonly role?: 'spoke' | 'hub';
  readonly prefix: readonly string[];
  readonly endpoint: readonly string[];
  readonly address?: string;
  readonly priority?: string;
  readonly cluster?: string;
}

/** What this machine asks for. */
interface Wish {
  readonly token: JoinToken;
  readonly dir: string;
  readonly name: NodeName;
  /** Empty: the token's. */
  readonly role: string;
  readonly prefixes: readonly Prefix[];
  readonly endpoints: readonly Endpoint[];
  /** Any free one if absent. */
  readonly address: Address | undefined;
  /** Of a hub; absent: after those that joined before. */
  readonly priority: number | undefined;
  readonly cluster: number;
}

/** Milliseconds: many may join at once, and take turns. */
const enrolWithin = 30_000;

export function addJoin(program: Command, io: Io): void {
  const command = program.command('join').description('make this machine a node of an overlay');
  withOutput(command)
    .argument('<token>', 'from `dmwg token create`; @FILE reads it from a file, - from standard input')
    .requiredOption('--state-dir <dir>', 'where this node will keep its state')
    .option('--name <name>', "unique in the overlay (default: the machine's host name)")
    .addOption(new Option('--role <role>', "default: the token's").choices(['spoke', 'hub']))
    .option('--prefix <cidr>', 'a network behind this machine that it announces (repeat)', collect, [])
    .option('--endpoint <addr:port>', 'public endpoint; a hub needs one (repeat)', collect, [])
    .option('--address <address>', 'the node address to ask for (default: any free one)')
    .option('--priority <n>', 'of a hub: 0 best, 255 worst (default: after the hubs that joined before)')
    .option('--cluster <n>', 'of a hub: spokes keep up tunnels to the best hubs of each cluster (default: 0)')
    .addHelpText('after', examples)
    .action((text: string, options: JoinOptions) => join(io, text, options));
}

async function join(io: Io, text: string, options: JoinOptions): Promise<void> {
  const wish = parseOptions(await readToken(io, text), options);
  await refuseExisting(wish.dir);
  await checkWritable(wish.dir);
  const { access, pinned } = await findPinned(wish.token);
  const { csr, key } = await createCsr(wish.name);
  const answer = await withRegistry(access, (registry) => enrol(registry, wish, csr));
  try {
    await writeStateDir(wish.dir, stateFiles(wish, pinned, answer, key));
  } catch (error) {
    await undo(access, answer, key);
    throw error;
  }
  const { nodeId, name, role, overlay, address, address6, prefixes } = answer;
  const data = { id: nodeId, name, role, overlay, address, address6: address6 || null, prefixes, stateDir: wish.dir };
  const addresses = [address, address6].filter((one) => one !== '').join(', ');
  await present(io, options, () =>
    Promise.resolve({
      data,
      table: () => `${name} joined ${overlay} as ${role} with address ${addresses}.
Start its agent:  dmwg-agent --state-dir ${wish.dir}
`,
    }),
  );
}

async function readToken(io: Io, text: string): Promise<string> {
  if (text === '-') return io.readInput();
  if (!text.startsWith('@')) return text;
  try {
    return await readFile(text.slice(1), 'utf8');
  } catch (error) {
    throw new ProgramError(`cannot read the token from ${text.slice(1)} (${systemCode(error) ?? 'error'})`);
  }
}

function parseOptions(text: string, options: JoinOptions): Wish {
  const token = parseJoinToken(text.trim());
  if (!token.ok) throw usageError(token.fault);
  const faults = new Faults();
  const name = faults.take('--name', parseNewName(options.name ?? labelOf(hostname())));
  const prefixes = faults.takeAll('--prefix', options.prefix, parseAnnounced);
  const endpoints = faults.takeAll('--endpoint', options.endpoint, parseEndpoint);
  const address = options.address === undefined ? undefined : faults.take('--address', parseAddress(options.address));
  if (options.role === 'hub' && options.endpoint.length === 0) {
    faults.add('--endpoint', 'a hub needs one, such as 192.0.2.1:51820, at which spokes reach it');
  }
  const number = (flag: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : faults.take(flag, parseInteger(text, 0, 255));
  const priority = number('--priority', options.priority);
  const cluster = number('--cluster', options.cluster) ?? 0;
  if (faults.any || name === undefined) throw faults.error();
  const dir = resolve(options.stateDir);
  const role = options.role ?? '';
  return { token: token.value, dir, name, role, prefixes, endpoints, address, priority, cluster };
}

/** "Web_1.example.net" -> "web-1" */
export function labelOf(host: string): string {
  const label = (host.split('.')[0] ?? '').toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return label.replace(/^-+/, '').slice(0, 63).replace(/-+$/, '');
}

async function refuseExisting(dir: string): Promise<void> {
  if (await exists(joinPath(dir, 'agent.yaml'))) {
    throw new ProgramError(`${dir} already holds a node; take it out with "dmwg leave --state-dir ${dir}" first`);
  }
  if (await exists(joinPath(dir, 'registry.yaml'))) {
    throw new ProgramError(`${dir} is the state dir of a registry; choose another --state-dir`);
  }
}

/** The first registry of the token that answers and has the pinned CA. */
async function findPinned(token: JoinToken): Promise<{ readonly access: Access; readonly pinned: PinnedCa }> {
  const failures: string[] = [];
  for (const address of token.registry) {
    try {
      const pinned = await fetchPinnedCa(address, token.caPin);
      const others = token.registry.filter((other) => other !== address);
      const { ca, overlay } = pinned;
      return { access: { kind: 'tls', addresses: [address, ...others], overlay, ca, identity: undefined }, pinned };
    } catch (error) {
      if (!(error instanceof ProgramError)) throw error;
      failures.push(error.message);
    }
  }
  throw new ProgramError(failures.join('; '));
}

function enrol(registry: Registry, wish: Wish, csr: Uint8Array): Promise<EnrolResponse> {
  const request = {
    tokenId: wish.token.id,
    tokenSecret: Buffer.from(wish.token.secret.reveal()),
    csr: Buffer.from(csr),
    name: wish.name,
    role: wish.role,
    prefixes: [...wish.prefixes],
    endpoints: [...wish.endpoints],
    address: wish.address ?? '',
    priority: wish.priority,
    cluster: wish.cluster,
  };
  // The same request again is answered with the same node.
  const options = { within: enrolWithin, repeatable: true };
  return registry.ask(({ enrolment }) => enrolment.enrol.bind(enrolment), request, options);
}

/** agent.yaml last: it is what makes the directory a node's. Throws if the registry's answer does not hold together. */
function stateFiles(wish: Wish, pinned: PinnedCa, answer: EnrolResponse, key: Secret): StateFile[] {
  checkCertificate(pinned, answer, key);
  const { nodeId: id, name, role, overlay, address, address6, prefixes } = answer;
  const node = { id, name, role, address, ...(address6 === '' ? {} : { address6 }), prefixes };
  const raw = { version: 1, overlay, node, registry: wish.token.registry, endpoints: wish.endpoints };
  const config = parseAgentConfig(JSON.stringify(raw));
  if (!config.ok) throw new ProgramError(`the registry's answer cannot be used: ${config.fault.message}`);
  return [
    { name: 'ca.crt', content: pinned.ca },
    { name: 'node.key', content: key },
    { name: 'node.crt', content: pemOf(answer.certificate) },
    { name: 'agent.yaml', content: formatAgentConfig(config.value) },
  ];
}

function checkCertificate(pinned: PinnedCa, answer: EnrolResponse, key: Secret): void {
  const identity = parseIdentity(answer.certificate);
  const good =
    identity.ok &&
    identity.value.kind === 'node' &&
    identity.value.id === answer.nodeId &&
    identity.value.overlay === answer.overlay &&
    answer.overlay === pinned.overlay &&
    proves(answer.certificate, pinned.ca, key);
  if (!good)
    throw new ProgramError(
      'the registry issued a certificate that is not for this machine; report this to its operator',
    );
}

function proves(der: Uint8Array, ca: string, key: Secret): boolean {
  const certificate = new X509Certificate(der);
  return (
    certificate.verify(new X509Certificate(ca).publicKey) && certificate.publicKey.equals(createPublicKey(key.reveal()))
  );
}

/** What could not be written down is given back: name, address and prefixes are free again. */
async function undo(access: Access, answer: EnrolResponse, key: Secret): Promise<void> {
  if (access.kind !== 'tls') return;
  try {
    const identity = { certificate: pemOf(answer.certificate), key: key.reveal() };
    await withRegistry({ ...access, identity }, (registry) =>
      registry.ask(({ enrolment }) => enrolment.leave.bind(enrolment), {}),
    );
  } catch {
    // The first error is what the operator must see; the registry's own is in its log.
  }
}

const examples = `
Examples:
  dmwg join dmwg1.AbC... --state-dir /var/lib/dmwg/node
  dmwg join @token --state-dir /var/lib/dmwg/node --prefix 192.168.7.0/24
  dmwg join - --state-dir /var/lib/dmwg/node --role hub --endpoint 192.0.2.1:51820 < token
`;
