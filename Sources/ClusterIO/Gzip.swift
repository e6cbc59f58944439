// Owns: gzip (RFC 1952) by zlib, in pieces. It must not know what is compressed, nor for whom.

import CZlib

/// One gzip stream that is being written. Used on one thread.
package final class GzipStream {
  private let state: UnsafeMutablePointer<z_stream>
  private static let room = 32 * 1024

  /// Fast rather than small: level 1. nil: no memory.
  package init?() {
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    // 15 + 16: the largest window, with gzip's own head and sum.
    let result = deflateInit2_(
      state, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else {
      state.deallocate()
      return nil
    }
  }

  deinit {
    deflateEnd(state)
    state.deallocate()
  }

  /// Takes `bytes` in and returns what came out: often nothing before there is enough. `isLast` ends the stream.
  package func write(_ bytes: [UInt8], isLast: Bool = false) -> [UInt8] {
    var output: [UInt8] = []
    bytes.withUnsafeBufferPointer { input in
      // zlib only reads it; its declaration lacks the const.
      state.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      state.pointee.avail_in = UInt32(input.count)
      while true {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: GzipStream.room))
        let result = output.withUnsafeMutableBufferPointer { buffer in
          state.pointee.next_out = buffer.baseAddress?.advanced(by: start)
          state.pointee.avail_out = UInt32(GzipStream.room)
          return deflate(state, isLast ? Z_FINISH : Z_NO_FLUSH)
        }
        let left = Int(state.pointee.avail_out)
        output.removeLast(left)
        if result == Z_STREAM_END || result == Z_STREAM_ERROR || left > 0 { break }
      }
    }
    return output
  }
}

/// Why bytes could not be expanded.
package enum GunzipError: Error, Equatable, Sendable {
  case damaged
  /// It makes more than the limit.
  case tooLarge
}

/// Expands gzip in one go.
package enum Gunzip {
  private static let room = 64 * 1024

  /// What `bytes` were; never makes more than `limit` and one piece of memory, whatever they claim.
  package static func expand(_ bytes: [UInt8], limit: Int) throws(GunzipError) -> [UInt8] {
    var stream = z_stream()
    // 15 + 16: gzip's own head and sum.
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .damaged
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: room)
    let failure = bytes.withUnsafeBufferPointer { input -> GunzipError? in
      // zlib only reads it; its declaration lacks the const.
      stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      stream.avail_in = UInt32(clamping: input.count)
      while true {
        let (result, count) = piece.withUnsafeMutableBufferPointer { buffer in
          stream.next_out = buffer.baseAddress
          stream.avail_out = UInt32(room)
          let result = inflate(&stream, Z_NO_FLUSH)
          return (result, room - Int(stream.avail_out))
        }
        guard result == Z_OK || result == Z_STREAM_END else { return .damaged }
        guard output.count + count <= limit else { return .tooLarge }
        output.append(contentsOf: piece[..<count])
        if result == Z_STREAM_END { return stream.avail_in == 0 ? nil : .damaged }
        // All of it was read, and it has no end.
        if stream.avail_in == 0, count < room { return .damaged }
      }
    }
    if let failure { throw failure }
    return output
  }
}
