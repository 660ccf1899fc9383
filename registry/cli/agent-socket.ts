import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { ProgramError, systemCode } from '#proto/kit/errors.ts';

const deadlineMs = 5000;
/** More than the status of a hub with ten thousand spokes. */
const longestAnswer = 64 * 1024 * 1024;

/** What the agent of this state dir says of itself. Throws ProgramError, also when no agent runs. */
export function agentStatus(stateDir: string): Promise<unknown> {
  return askAgent(stateDir, 'GET', '/status');
}

/** The agent's answer. Throws ProgramError with what the agent says if it refuses, and when no agent runs. */
export async function askAgent(stateDir: string, method: 'GET' | 'POST', url: string): Promise<unknown> {
  const path = await socketPath(stateDir);
  try {
    return JSON.parse(await send(path, method, url)) as unknown;
  } catch (error) {
    const code = systemCode(error) ?? '';
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(code)) throw notRunning(stateDir);
    if (['EACCES', 'EPERM'].includes(code))
      throw new ProgramError(`no permission to ask the agent at ${path}; run this as root`);
    if (error instanceof SyntaxError) throw new ProgramError(`the agent at ${path} answered something else than JSON`);
    throw error;
  }
}

export function notRunning(stateDir: string): ProgramError {
  return new ProgramError(`the agent is not running; start it with dmwg-agent --state-dir ${stateDir}`);
}

/** The agent writes where it listens, as its run-dir may be anywhere. */
async function socketPath(stateDir: string): Promise<string> {
  try {
    const path = (await readFile(join(stateDir, 'agent.socket-path'), 'utf8')).trim();
    if (path !== '') return path;
  } catch (error) {
    if (systemCode(error) === 'EACCES') {
      throw new ProgramError(`no permission to read ${stateDir}; run this as root`);
    }
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  return join(stateDir, 'agent.sock');
}

function send(socket: string, method: 'GET' | 'POST', path: string): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const signal = AbortSignal.timeout(deadlineMs);
    const late = new ProgramError(`the agent at ${socket} did not answer within 5 s; look at its log`);
    const fail = (error: Error): void => {
      reject(signal.aborted ? late : error);
    };
    const asked = request({ socketPath: socket, method, path, agent: false, signal }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > longestAnswer) asked.destroy(new ProgramError(`the agent at ${socket} answered too much`));
      });
      answer.on('error', fail);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (answer.statusCode === 200) resolve(text);
        else if (answer.statusCode === 400 || answer.statusCode === 409) fail(new ProgramError(refusal(text)));
        else
          fail(new ProgramError(`the agent at ${socket} answered ${String(answer.statusCode)}: ${text.slice(0, 200)}`));
      });
    });
    asked.on('error', fail);
    asked.end();
  });
}

/** The agent's own words. */
function refusal(text: string): string {
  const answer = JSON.parse(text) as { readonly error?: unknown };
  return typeof answer.error === 'string' ? answer.error : 'the agent refuses';
}

export async function agentRuns(dir: string): Promise<boolean> {
  try {
    await agentStatus(dir);
    return true;
  } catch {
    return false;
  }
}
