// The way back to a better registry (decide/registry-choice.ts says which are).
import { type ChannelCredentials, Client } from '@grpc/grpc-js';
import { pause } from '#proto/kit/clock.ts';
import { registryChannelOptions } from '#proto/kit/registry-credentials.ts';
import type { Milliseconds } from '#proto/model/time.ts';

export interface FallbackOptions {
  /** Those better than the present one, best first. */
  readonly better: () => readonly string[];
  readonly credentials: () => ChannelCredentials;
  /** How long a session with a worse one lasts at least. */
  readonly fallbackTime: () => Milliseconds;
  /** [0, 1) */
  readonly random: () => number;
}

const probeTimeout = 3000;
const leastWait = 1000;
const healthCheck = '/grpc.health.v1.Health/Check';

/**
 * While the session is with another one: waits for a better one to serve, and gives it; undefined when `signal` aborts first (it
 * may also abort at the last moment). The waits are spread over a whole fallback time, so that a crowd does not come back at once.
 */
export async function awaitBetter(options: FallbackOptions, signal: AbortSignal): Promise<string | undefined> {
  const { better, credentials, fallbackTime, random } = options;
  while (!signal.aborted) {
    await pause(Math.max(fallbackTime(), leastWait) * (1 + random()), signal);
    const serving = await firstServing(better(), credentials, signal);
    if (serving !== undefined) return serving;
  }
  return undefined;
}

async function firstServing(
  registries: readonly string[],
  credentials: () => ChannelCredentials,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const endpoint of registries) {
    if (signal.aborted) return undefined;
    if (await isServing(endpoint, credentials())) return endpoint;
  }
  return undefined;
}

/** Asks grpc.health.v1, with this node's certificate. Never rejects. */
function isServing(endpoint: string, credentials: ChannelCredentials): Promise<boolean> {
  const client = new Client(endpoint, credentials, {
    ...registryChannelOptions(endpoint),
    'grpc.enable_retries': 0,
  });
  const bytes = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    // HealthCheckRequest of the whole server; HealthCheckResponse with status (field 1) SERVING (1).
    const deadline = Date.now() + probeTimeout;
    client.makeUnaryRequest(healthCheck, bytes, bytes, Buffer.alloc(0), { deadline }, (error, response) => {
      client.close();
      resolve(error === null && response?.equals(Buffer.from([0x08, 0x01])) === true);
    });
  });
}
