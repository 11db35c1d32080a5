import { describe, expect, test } from 'vitest';
import { LogOutput, type LogTarget } from '#daemon/log-output.ts';
import { waitFor } from '#test/helpers/wait.ts';

class Target implements LogTarget {
  text = '';
  /** Bytes that there is room for. */
  room = Number.POSITIVE_INFINITY;
  error: string | undefined;

  writable(): boolean {
    return this.error !== undefined || this.room > 0;
  }

  write(bytes: Uint8Array): number {
    if (this.error !== undefined) throw Object.assign(new Error(this.error), { code: this.error });
    const written = Math.min(bytes.length, this.room);
    this.text += Buffer.from(bytes.subarray(0, written)).toString();
    this.room -= written;
    return written;
  }
}

function open(): { target: Target; output: LogOutput } {
  const target = new Target();
  return { target, output: new LogOutput(target, (lines) => `${lines} lost\n`) };
}

describe('the output of the log', () => {
  test('has a line before the call returns, however long it is', () => {
    const { target, output } = open();
    output.write('one\n');
    const long = `${'x'.repeat(100_000)}\n`;
    output.write(long);
    expect(target.text).toBe(`one\n${long}`);
  });

  test('keeps lines for a reader that has stalled, in order, and goes on in the middle of one', async () => {
    const { target, output } = open();
    target.room = 5;
    for (const line of ['one\n', 'two\n', 'three\n']) output.write(line);
    expect(target.text).toBe('one\nt');
    target.room = Number.POSITIVE_INFINITY;
    await waitFor(() => target.text === 'one\ntwo\nthree\n', { what: 'the rest without another line' });
  });

  test('keeps no more than a megabyte, and says how many lines it lost', () => {
    const { target, output } = open();
    target.room = 0;
    const line = `${'x'.repeat(1023)}\n`;
    for (let i = 0; i < 1100; i++) output.write(line);
    expect(output.lost).toBe(1100 - 1024);
    target.room = Number.POSITIVE_INFINITY;
    output.write('next\n');
    expect(target.text).toBe(`${line.repeat(1024)}76 lost\nnext\n`);
    expect(output.lost).toBe(0);
  });

  test('loses lines while a disk is full, and starts a new line after one that was torn', () => {
    const { target, output } = open();
    target.room = 3;
    output.write('one\n');
    target.error = 'ENOSPC';
    output.write('two\n');
    output.write('three\n');
    expect(output.lost).toBe(3);
    target.error = undefined;
    target.room = Number.POSITIVE_INFINITY;
    output.write('four\n');
    expect(target.text).toBe('one\n3 lost\nfour\n');
  });

  test('is silent for good when nobody can read it any more', () => {
    const { target, output } = open();
    target.error = 'EPIPE';
    output.write('one\n');
    target.error = undefined;
    output.write('two\n');
    expect(target.text).toBe('');
  });
});
