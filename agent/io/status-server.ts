// The agent's local door: HTTP on a unix socket that only root may use. GET /status gives the status as JSON, GET /trace/ADDRESS
// the way to an address; POST /reload has agent.yaml read again, POST /stop stops the agent, and POST /down stops it and takes
// everything of it off the host.
import { chmod, rm } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { systemCode } from '#proto/kit/errors.ts';
import { ProgramError } from '#proto/kit/errors.ts';

export interface StatusServerOptions {
  readonly path: string;
  readonly status: () => Promise<unknown>;
  /** Undefined: it is no address. */
  readonly trace: (address: string) => unknown;
  /** What is wrong with agent.yaml, or undefined. */
  readonly reload: () => Promise<string | undefined>;
  readonly stop: (tearDown: boolean) => void;
}

/** Throws a ProgramError if another agent answers on that socket. */
export async function startStatusServer(options: StatusServerOptions): Promise<{ close(): Promise<void> }> {
  const { path } = options;
  await refuseIfAnswering(path);
  await rm(path, { force: true });
  const server = createServer((incoming, response) => {
    const answer = (code: number, value: unknown): void => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
    };
    if (incoming.method === 'GET' && incoming.url === '/status') {
      options.status().then(
        (status) => {
          answer(200, status);
        },
        () => {
          answer(500, { error: 'the status cannot be read' });
        },
      );
    } else if (incoming.method === 'GET' && incoming.url?.startsWith('/trace/') === true) {
      const traced = options.trace(incoming.url.slice('/trace/'.length));
      if (traced === undefined) answer(400, { error: 'this is no IPv4 or IPv6 address' });
      else answer(200, traced);
    } else if (incoming.method === 'POST' && incoming.url === '/reload') {
      options.reload().then(
        (fault) => {
          answer(fault === undefined ? 200 : 409, fault === undefined ? {} : { error: fault });
        },
        () => {
          answer(500, { error: 'agent.yaml cannot be read' });
        },
      );
    } else if (incoming.method === 'POST' && (incoming.url === '/stop' || incoming.url === '/down')) {
      answer(202, {});
      options.stop(incoming.url === '/down');
    } else answer(404, { error: 'unknown request' });
  });
  await listen(server, path);
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  };
}

/** Throws a ProgramError if an agent answers on that socket. */
export async function refuseIfAnswering(path: string): Promise<void> {
  if ((await ask(path, 'GET', '/status')) === undefined) return;
  throw new ProgramError(`another agent is running with this state dir (it answers on ${path})`);
}

/** Nobody is there; a connection that breaks: it is just going. */
const goneCodes: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** The body of the answer; undefined if nobody listens. */
export function ask(path: string, method: 'GET' | 'POST', url: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, method, path: url, timeout: 5000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => {
        resolve(body);
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer on ${path}`)));
    outgoing.on('error', (error) => {
      const code = systemCode(error);
      if (code !== undefined && goneCodes.has(code)) resolve(undefined);
      else reject(error);
    });
    outgoing.end();
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new ProgramError(`cannot listen on ${path}: ${error.message}`));
    });
    server.listen(path, resolve);
  });
}
