// Sends one container's log to the coordinator on a connection of its own, as fast as it is taken, and follows it if
// asked.

import ClusterIO
import ClusterProto

final class LogStream {
  private static let bufferLimit = 256 << 10
  private static let followNanoseconds: Int64 = 100_000_000

  private let loop: EventLoop
  private let request: LogRequest
  private let link: CoordinatorLink
  private let paths: NodePaths
  /// Whether this run of the container still may write.
  private let isLive: (_ restart: Int64) -> Bool
  private var reader: LogReader?
  private var timer: LoopTimer?
  private let ended: () -> Void

  init(
    loop: EventLoop, request: LogRequest, link: CoordinatorLink, paths: NodePaths,
    isLive: @escaping (_ restart: Int64) -> Bool,
    ended: @escaping () -> Void
  ) {
    self.loop = loop
    self.request = request
    self.link = link
    self.paths = paths
    self.isLive = isLive
    self.ended = ended
    timer = loop.makeTimer { [weak self] in self?.pump() }
    link.onOpen = { [unowned self] _ in begin() }
    link.onClosed = { [unowned self] _ in
      timer?.arm(at: nil)
      self.ended()
    }
  }

  private func begin() {
    do throws(LogError) {
      reader = try LogReader(request, paths: paths, now: WallTime(nanoseconds: Clocks.now().wall))
      link.onDrained = { [weak self] in self?.pump() }
      pump()
    } catch {
      finish(code: 400, message: error.message)
    }
  }

  private func pump() {
    guard let reader else { return }
    // Asked before reading: what was written while it lived is in the file when it lives no more.
    let mayGrow = request.follow && !request.previous && isLive(reader.restart)
    while link.pendingOutput < Self.bufferLimit {
      let bytes = reader.next()
      if bytes.isEmpty {
        guard mayGrow, !reader.isLimited else { return finish(code: 200, message: "") }
        timer?.arm(at: Clocks.boot() + Self.followNanoseconds)
        return
      }
      var rest = bytes[...]
      while !rest.isEmpty {
        link.send(payload: LogFrame.bytes(Array(rest.prefix(LogFrame.largestPiece))).payload)
        rest = rest.dropFirst(LogFrame.largestPiece)
      }
      if reader.isLimited { return finish(code: 200, message: "") }
    }
  }

  private func finish(code: Int, message: String) {
    reader = nil
    timer?.arm(at: nil)
    link.send(payload: LogFrame.end(code: code, message: message).payload)
    link.close(afterFlush: true)
  }
}
