/** The smallest files of their kind, made here so that nobody has to wonder what a long string holds. Both in base64. */
import { crc32, deflateSync } from 'node:zlib'

/** One red pixel. */
export const PIXEL_PNG: string = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  pngChunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])),
  pngChunk('IDAT', deflateSync(Buffer.from([0, 255, 0, 0]))),
  pngChunk('IEND', Buffer.alloc(0)),
]).toString('base64')

/** Eight samples of silence: mono, 8 kHz, 8 bits. */
export const QUIET_WAV: string = quietWav(8).toString('base64')

function pngChunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}

function quietWav(samples: number): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(36 + samples, 4)
  head.write('WAVEfmt ', 8, 'latin1')
  head.writeUInt32LE(16, 16) // length of the format
  head.writeUInt16LE(1, 20) // uncompressed
  head.writeUInt16LE(1, 22) // channels
  head.writeUInt32LE(8000, 24) // samples a second
  head.writeUInt32LE(8000, 28) // bytes a second
  head.writeUInt16LE(1, 32) // bytes of a sample
  head.writeUInt16LE(8, 34) // bits of a sample
  head.write('data', 36, 'latin1')
  head.writeUInt32LE(samples, 40)
  return Buffer.concat([head, Buffer.alloc(samples, 0x80)])
}
