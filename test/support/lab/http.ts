import { request } from 'node:http';

const timeout = 20_000;

/** The answer to a GET on a unix socket, which may be of any network namespace. Rejects if nobody answers. */
export function ask(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path, agent: false, signal: AbortSignal.timeout(timeout) };
    const outgoing = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${socketPath} answers ${String(response.statusCode)}: ${body}`));
      });
    });
    outgoing.on('error', reject).end();
  });
}
