import { createServer, type Server } from 'node:http';
import { ProgramError, errorText, systemCode } from '#proto/kit/errors.ts';
import type { RegistryContext } from './context.ts';

/** /healthz (200 while the store is at hand, else 503) and /metrics. Throws ProgramError when it cannot listen. */
export async function startHttp(
  context: Pick<RegistryContext, 'store' | 'metrics'>,
  host: string,
  port: number,
): Promise<Server> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end();
    else if (path === '/healthz') {
      const healthy = context.store.healthy();
      response.writeHead(healthy ? 200 : 503, { 'content-type': 'text/plain' });
      response.end(healthy ? 'ok\n' : 'etcd does not answer; nodes are served from memory\n');
    } else if (path === '/metrics') {
      context.metrics.text().then(
        ({ type, body }) => response.writeHead(200, { 'content-type': type }).end(body),
        () => response.writeHead(500).end(),
      );
    } else response.writeHead(404, { 'content-type': 'text/plain' }).end('use /healthz or /metrics\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const reason = systemCode(error) === 'EADDRINUSE' ? 'the port is in use' : errorText(error);
      reject(new ProgramError(`cannot listen on ${host}:${String(port)} (--http): ${reason}`));
    });
    server.listen(port, host, resolve);
  });
  return server;
}
