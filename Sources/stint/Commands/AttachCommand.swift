// Owns: `attach`: what a container that runs writes from now on, and its own input or terminal, as this process'
// streams. It must not know how streams travel.

import ClusterIO
import ClusterProto
import Glibc

/// `stint attach`.
struct AttachCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let entry = try PodEntry(context)
    let pod = try entry.pod(arguments.words[0])
    let (name, has) = try container(entry, pod, arguments.value("container"), context)
    var options = PodStreamOptions()
    options.container = name
    options.stdin = arguments.isOn("stdin")
    // Without an input, no key would leave a terminal that hands each of them on.
    options.tty = arguments.isOn("tty") && options.stdin
    options.stdout = true
    if options.stdin, !has.isOpen {
      throw CommandError("error: container \(name) has no input: its manifest does not say stdin: true")
    }
    if options.tty, !has.isTerminal {
      context.console.note("Unable to use a TTY - container \(name) did not allocate one")
      options.tty = false
    }
    if options.tty, isatty(0) == 0 {
      context.console.note("Unable to use a TTY - input is not a terminal or the right kind of file")
      options.tty = false
    }
    options.stderr = !options.tty
    let session = ExecSession(try entry.open(.attach, pod: pod, options))
    if options.tty {
      session.detachKeys = DetachKeys([16, 17])
      context.console.note("Leave with ctrl-p ctrl-q. If there is no prompt, try enter.")
    }
    let end = try session.run(entry, options)
    guard end.code == 200 else { throw CommandError("error: \(TerminalText.harmless(end.message))") }
    return Int32(end.exitCode ?? 0)
  }

  /// The container that is meant (the named one, the one that the pod's annotation names, or the first), and what it
  /// has.
  private static func container(
    _ entry: PodEntry, _ pod: String, _ name: String?, _ context: Context
  ) throws -> (String, ContainerInput) {
    let object = try entry.cluster.get(.pods, context.namespace, pod)
    let spec = object["spec"]
    let containers = ["containers", "initContainers", "ephemeralContainers"].flatMap { spec?[$0]?.arrayValue ?? [] }
    let annotated = object[path: ["metadata", "annotations", "kubectl.kubernetes.io/default-container"]]?.stringValue
    let wanted = name ?? annotated ?? containers.first?["name"]?.stringValue ?? ""
    guard let found = containers.first(where: { $0["name"]?.stringValue == wanted }) else {
      throw CommandError("error: container \(wanted) is not valid for pod \(pod)")
    }
    return (wanted, ContainerInput(json: found))
  }
}

/// Keys that, typed one after the other, leave a terminal as it is.
struct DetachKeys {
  private let keys: [UInt8]
  /// How many of them were typed last.
  private var typed = 0

  /// Empty: no keys do.
  init(_ keys: [UInt8]) { self.keys = keys }

  /// They were.
  var areTyped: Bool { !keys.isEmpty && typed == keys.count }

  /// What of it is for the other side; what may be the keys' beginning waits for what comes next.
  mutating func passing(_ bytes: [UInt8]) -> [UInt8] {
    guard !keys.isEmpty else { return bytes }
    var passed: [UInt8] = []
    for byte in bytes where !areTyped {
      if byte != keys[typed] {
        passed += keys[..<typed]
        typed = 0
      }
      if byte == keys[typed] { typed += 1 } else { passed.append(byte) }
    }
    return passed
  }
}
