// Owns: the compression of SPDY/3 header blocks by zlib: one stream a direction for the whole connection, begun with
// the protocol's dictionary, flushed after each block. It must not know what headers say.

import CZlib

/// The words that both sides' streams begin with (SPDY/3, section 2.6.10.1): a part of the protocol, byte for byte.
package enum HeaderDictionary {
  /// Each stands there behind its length, four bytes.
  private static let words = """
    options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|\
    allow|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length|\
    content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|\
    if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|\
    proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|\
    user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|\
    keep-alive|origin
    """

  private static let tail = """
    100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritativ\
    e Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 I\
    nternal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec\
     00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xm\
    l,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=\
    iso-8859-1,utf-,*,enq=0.
    """

  /// The dictionary as zlib takes it.
  package static let bytes: [UInt8] =
    words.split(separator: "|").flatMap { word in
      [0, 0, 0, UInt8(word.utf8.count)] + Array(word.utf8)
    } + Array(tail.utf8)
}

/// Writes header blocks. Used on one thread.
package final class HeaderCompressor {
  private let state: UnsafeMutablePointer<z_stream>
  private static let room = 1_024

  /// With a window as large as the dictionary needs it and little memory: a connection lasts for hours. nil: none left.
  package init?() {
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    let size = Int32(MemoryLayout<z_stream>.size)
    let dictionary = HeaderDictionary.bytes
    let result = deflateInit2_(state, 6, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size)
    guard result == Z_OK, deflateSetDictionary(state, dictionary, UInt32(dictionary.count)) == Z_OK else {
      deflateEnd(state)
      state.deallocate()
      return nil
    }
  }

  deinit {
    deflateEnd(state)
    state.deallocate()
  }

  /// The next block, whole.
  package func compress(_ bytes: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    bytes.withUnsafeBufferPointer { input in
      // zlib only reads it; its declaration lacks the const.
      state.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      state.pointee.avail_in = UInt32(input.count)
      var left = 0
      repeat {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: Self.room))
        _ = output.withUnsafeMutableBufferPointer { buffer in
          state.pointee.next_out = buffer.baseAddress?.advanced(by: start)
          state.pointee.avail_out = UInt32(Self.room)
          return deflate(state, Z_SYNC_FLUSH)
        }
        left = Int(state.pointee.avail_out)
        output.removeLast(left)
      } while left == 0
    }
    return output
  }
}

/// Reads header blocks. Used on one thread. After an error it is of no more use.
package final class HeaderExpander {
  private let state: UnsafeMutablePointer<z_stream>
  private static let room = 4 * 1_024

  /// nil: no memory.
  package init?() {
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    guard inflateInit_(state, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      state.deallocate()
      return nil
    }
  }

  deinit {
    inflateEnd(state)
    state.deallocate()
  }

  /// What a block was; never makes more than `limit` bytes and one piece, whatever it claims.
  package func expand(_ bytes: ArraySlice<UInt8>, limit: Int) throws(GunzipError) -> [UInt8] {
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: Self.room)
    let failure = bytes.withUnsafeBufferPointer { input -> GunzipError? in
      // zlib only reads it; its declaration lacks the const.
      state.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      state.pointee.avail_in = UInt32(clamping: input.count)
      while true {
        let (result, count) = piece.withUnsafeMutableBufferPointer { buffer in
          state.pointee.next_out = buffer.baseAddress
          state.pointee.avail_out = UInt32(Self.room)
          let result = inflate(state, Z_SYNC_FLUSH)
          return (result, Self.room - Int(state.pointee.avail_out))
        }
        guard output.count + count <= limit else { return .tooLarge }
        output.append(contentsOf: piece[..<count])
        switch result {
        case Z_NEED_DICT:
          let dictionary = HeaderDictionary.bytes
          guard inflateSetDictionary(state, dictionary, UInt32(dictionary.count)) == Z_OK else { return .damaged }
        case Z_OK where state.pointee.avail_in > 0 || count == Self.room: continue
        // Nothing was left to do.
        case Z_OK, Z_BUF_ERROR: return state.pointee.avail_in == 0 ? nil : .damaged
        // The stream never ends, or it is broken.
        default: return .damaged
        }
      }
    }
    if let failure { throw failure }
    return output
  }
}
