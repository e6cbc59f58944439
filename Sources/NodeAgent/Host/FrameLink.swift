// Messages over a connection, those longer than a frame in parts, or bare frames; closes on what is neither. Knows no
// message.

import ClusterIO
import ClusterProto

/// One framed connection. `onMessage` gets each message; `onClosed` is called once with the reason in words.
final class FrameLink {
  private let connection: Connection
  private var stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
  var onMessage: ((JSON) -> Void)?
  /// Once it is set, frames go there as they are, and are no messages.
  var onFrame: (([UInt8]) -> Void)?
  var onClosed: ((String) -> Void)?

  init(_ connection: Connection) {
    self.connection = connection
    connection.onBytes = { [self] bytes in receive(bytes) }
    connection.onClose = { [self] reason in ended(reason.description) }
  }

  /// This side's address; nil for a unix socket.
  var localHost: String? { connection.localHost }
  var pendingOutput: Int { connection.pendingOutput }

  var onDrained: (() -> Void)? {
    get { connection.onDrained }
    set { connection.onDrained = newValue }
  }

  func setUserTimeout(milliseconds: UInt32) { connection.setUserTimeout(milliseconds: milliseconds) }

  /// For connections of one stream: held back by not being read, and over once the other side has gone.
  func beginStream() {
    connection.endsUnread = true
    connection.setKeepAlive(seconds: 60)
  }

  func setReading(_ reading: Bool) { connection.setReading(reading) }

  /// Sends one message.
  func send(_ message: JSON) { connection.send(MessageWriter.frames(message)) }

  func send(payload: [UInt8]) {
    do {
      connection.send(try Frame.encode(payload))
    } catch {
      fail(error.message)
    }
  }

  func close(afterFlush: Bool = false) { connection.close(afterFlush: afterFlush) }

  private func receive(_ bytes: [UInt8]) {
    stream.append(bytes)
    do throws(ProtocolError) {
      while connection.isOpen {
        if let onFrame {
          guard let frame = try stream.nextFrame() else { return }
          onFrame(frame)
        } else {
          guard let message = try stream.next() else { return }
          onMessage?(message)
        }
      }
    } catch {
      fail(error.message)
    }
  }

  private func fail(_ reason: String) {
    connection.close()
    ended(reason)
  }

  private func ended(_ reason: String) {
    let handler = onClosed
    onClosed = nil
    onMessage = nil
    onFrame = nil
    handler?(reason)
  }
}
