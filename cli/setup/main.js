/**
 * Sees to everything that the project needs on a Debian machine, and does nothing when all is there. Plain
 * JavaScript, since it runs before the Node that the project itself needs: Node 18 is enough for it.
 *
 *   node cli/setup/main.js           do what is missing
 *   node cli/setup/main.js --check   only say what is missing; exit 0 when nothing is, else 3
 */
import { fileURLToPath } from 'node:url';
import { compile, generate } from './build.js';
import { SetupError } from './errors.js';
import { gatherFacts } from './facts.js';
import { disableNewServices, installPackages } from './install.js';
import { installModules } from './npm.js';
import { plan } from './plan.js';
import { debianPackages } from './tables.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

process.exitCode = main(process.argv.slice(2));

/** @param {string[]} args */
function main(args) {
  const start = Date.now();
  try {
    const facts = gatherFacts(root);
    const steps = plan(facts);
    if (steps.length === 0) {
      say(`nothing to do (${debianPackages.length} Debian packages, node_modules; ${Date.now() - start} ms)`);
      return 0;
    }
    for (const step of steps) say(`missing: ${describe(step)}`);
    if (args.includes('--check')) return 3;
    for (const step of steps) perform(step, facts);
    say(`done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`set-up: ${error.message}`);
    return error.exitCode;
  }
}

/** @param {import('./plan.js').Step} step @param {import('./facts.js').Facts} facts */
function perform(step, facts) {
  switch (step.kind) {
    case 'install':
      return installPackages(root, step, say);
    case 'disable':
      return disableNewServices(say);
    case 'npm':
      return installModules(root, facts.wanted, say);
    case 'generate':
      return generate(root, step.file, say);
    case 'compile':
      return compile(root, step.program, say);
  }
}

/** @param {import('./plan.js').Step} step */
function describe(step) {
  switch (step.kind) {
    case 'install':
      return `Debian packages ${step.packages.join(' ')}`;
    case 'disable':
      return 'an earlier set-up was cut off before it had disabled the services it installed';
    case 'npm':
      return step.why;
    case 'generate':
      return `${step.file.output} is missing or older than its sources`;
    case 'compile':
      return `${step.program.output} is missing or older than its sources`;
  }
}

/** @param {string} line */
function say(line) {
  console.log(`set-up: ${line}`);
}
