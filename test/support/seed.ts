// Loaded before every test file: the same properties are tried with the same values by everybody, so that a run says the same of
// the same code. DMWG_SEED=N tries others; fast-check prints what failed, and how to get there again.
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['DMWG_SEED'] ?? 1), includeErrorInReport: true });
