// JSON frames over a connection: cuts incoming bytes into messages and closes on what is no frame. Knows no message.

import ClusterIO
import ClusterProto

/// One framed connection. `onMessage` gets each message; `onClosed` is called once with the reason in words.
final class FrameLink {
  private let connection: Connection
  private var decoder: FrameDecoder
  var onMessage: ((JSON) -> Void)?
  var onClosed: ((String) -> Void)?

  init(_ connection: Connection, maximumLength: Int = Frame.maximumLength) {
    self.connection = connection
    decoder = FrameDecoder(maximumLength: maximumLength)
    connection.onBytes = { [self] bytes in receive(bytes) }
    connection.onClose = { [self] reason in ended(reason.description) }
  }

  var pendingOutput: Int { connection.pendingOutput }

  var onDrained: (() -> Void)? {
    get { connection.onDrained }
    set { connection.onDrained = newValue }
  }

  func setUserTimeout(milliseconds: UInt32) { connection.setUserTimeout(milliseconds: milliseconds) }

  /// Sends one message; a message over the frame limit closes the connection, since the other side could not read on.
  func send(_ message: JSON) {
    do {
      connection.send(try Frame.encode(message))
    } catch {
      fail(error.message)
    }
  }

  func send(payload: [UInt8]) {
    do {
      connection.send(try Frame.encode(payload))
    } catch {
      fail(error.message)
    }
  }

  func close(afterFlush: Bool = false) { connection.close(afterFlush: afterFlush) }

  private func receive(_ bytes: [UInt8]) {
    decoder.append(bytes)
    do {
      while let frame = try decoder.next() {
        guard connection.isOpen else { return }
        onMessage?(try JSON(parsing: frame))
      }
    } catch let error as FrameError {
      fail(error.message)
    } catch {
      fail("a frame is not JSON: \(error)")
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
    handler?(reason)
  }
}
