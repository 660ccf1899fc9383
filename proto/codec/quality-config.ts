// The "quality" of agent.yaml.
import * as z from 'zod';
import { defaultQuality, type QualityConfig } from '#proto/model/quality.ts';

/** "off", or thresholds. */
export const qualitySchema = z.union(
  [
    z.literal('off').transform(() => undefined),
    z
      .strictObject({
        loss: z.number().min(1).max(100).default(defaultQuality.loss),
        rtt: z.number().min(1).max(60_000).optional(),
      })
      .transform(({ loss, rtt }): QualityConfig => ({ loss, rtt })),
  ],
  'is off, or has loss (percent) and rtt (milliseconds)',
);
