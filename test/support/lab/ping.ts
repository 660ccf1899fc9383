import type { Program } from './process.ts';

export interface Reply {
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly rttMs: number;
  /** Tells how many routers it passed on the way back. */
  readonly ttl: number;
}

export interface PingResult {
  readonly sent: number;
  readonly replies: readonly Reply[];
  /** Sequence numbers without a reply. */
  readonly lost: readonly number[];
  /** The longest time between two replies that follow each other, in ms. */
  readonly longestGapMs: number;
}

export interface Pinging {
  /** What has been answered so far. */
  replies(): readonly Reply[];
  /** Sequence numbers without a reply so far, but for the last ones, which may be on their way. */
  missing(): number[];
  /** Ends it. What was sent in the last moments and may be on its way does not count as lost. */
  finish(): Promise<PingResult>;
  /** Waits for the end of a ping with a count. */
  result(): Promise<PingResult>;
}

export interface PingOptions {
  readonly to: string;
  /** Packets a second; 10 by default. */
  readonly rate?: number;
  /** Ends by itself after so many; otherwise `finish` ends it. */
  readonly count?: number;
  readonly from?: string;
  /** Bytes of payload; 56 by default. */
  readonly size?: number;
}

/** Without replies ping wakes every 10 ms only; the preload lets it send then what is due, so that the rate holds. */
export function pingCommand(options: PingOptions): string[] {
  const rate = options.rate ?? 10;
  const preload = Math.ceil(rate / 80);
  return [
    ...['ping', '-n', '-D', '-i', String(1 / rate), '-W', '2', '-s', String(options.size ?? 56)],
    ...(preload > 1 ? ['-l', String(preload)] : []),
    ...(options.count === undefined ? [] : ['-c', String(options.count)]),
    ...(options.from === undefined ? [] : ['-I', options.from]),
    options.to,
  ];
}

const replyLine = /^\[([\d.]+)\] \d+ bytes from \S+ icmp_seq=(\d+) ttl=(\d+) time=([\d.]+) ms$/gm;

export function parseReplies(text: string): Reply[] {
  const seen = new Map<number, Reply>();
  for (const [, at, sequence, ttl, rtt] of text.matchAll(replyLine)) {
    const reply = {
      sequence: Number(sequence),
      at: Number(at) * 1000,
      rttMs: Number(rtt),
      ttl: Number(ttl),
    };
    if (!seen.has(reply.sequence)) seen.set(reply.sequence, reply);
  }
  return [...seen.values()];
}

/** Follows a running `ping -D`. `rate` tells how many may be on their way when it is ended. */
export function followPing(program: Program, rate: number): Pinging {
  const judge = (ended: boolean): PingResult => {
    const text = program.stdout();
    const replies = parseReplies(text);
    const transmitted = Number(/^(\d+) packets transmitted/m.exec(text)?.[1] ?? Number.NaN);
    if (Number.isNaN(transmitted)) throw new Error(`ping gave no summary: ${program.stderr()}${text.slice(-500)}`);
    const last = replies.reduce((most, reply) => Math.max(most, reply.sequence), 0);
    const onTheirWay = ended && transmitted - last <= Math.max(2, rate * 0.2);
    const sent = onTheirWay ? last : transmitted;
    const lost = holes(replies, sent);
    return { sent, replies, lost, longestGapMs: longestGap(replies) };
  };
  return {
    replies: () => parseReplies(program.stdout()),
    missing: () => {
      const replies = parseReplies(program.stdout());
      const last = replies.reduce((most, reply) => Math.max(most, reply.sequence), 0);
      return holes(replies, last - Math.ceil(rate * 0.2));
    },
    finish: async () => {
      await program.stop('SIGINT');
      return judge(true);
    },
    result: async () => {
      await program.ended;
      return judge(false);
    },
  };
}

/** Sequence numbers from 1 to `sent` that no reply has. */
function holes(replies: readonly Reply[], sent: number): number[] {
  const answered = new Set(replies.map((reply) => reply.sequence));
  return Array.from({ length: Math.max(0, sent) }, (_, index) => index + 1).filter(
    (sequence) => !answered.has(sequence),
  );
}

function longestGap(replies: readonly Reply[]): number {
  const times = replies.map((reply) => reply.at).sort((a, b) => a - b);
  return times.reduce((most, at, index) => Math.max(most, at - (times[index - 1] ?? at)), 0);
}
