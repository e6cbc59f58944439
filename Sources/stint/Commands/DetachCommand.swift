// Owns: `up --detach`: an `up` in the background, waited for until its cluster is up or it has ended. It must not know
// how a cluster is started.

import ClusterIO
import ClusterProto
import Glibc

/// `stint up --detach`.
enum DetachCommand {
  static let flag = "detach"
  /// By this variable the `up` in the background knows what it is; nobody inherits it.
  static let variable = "STINT_UP_DETACHED"

  /// `words`: the flags of the `up` that is to run.
  static func run(data: String, words: [String], context: Context) throws -> Int32 {
    switch UpState.of(data) {
    case .running(let process, let record):
      return tell(context, "A cluster runs on \(data) already", process, record, data)
    case .unknown(let why): throw CommandError("error: \(why)")
    case .none: break
    }
    let directories = UpDirectories(data: data)
    try Files.makeDirectory("\(data)/logs")
    let path = UpRecord.log(data)
    let log = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_APPEND)
    let logStart = Int(lseek(log, 0, SEEK_END))
    defer { close(log) }
    var options = Child.Options(
      path: "/proc/self/exe", arguments: ["stint", "up"] + words,
      environment: context.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    options.environment.append("\(variable)=1")
    options.descriptors = [1: log, 2: log]
    // It keeps no file system busy that it does not use.
    options.directory = "/"
    let child = try Child(options)
    let loop = try EventLoop()
    var end: ProcessExit?
    try child.watch(loop: loop) { end = $0 }
    var isAsked = false
    let signals = try Signals(loop: loop, [SIGINT, SIGTERM, SIGHUP]) { _ in
      // It is not a child of the terminal's: what ends the waiting ends it too, cleanly.
      if !isAsked { context.console.note("ending it again") }
      isAsked = true
      child.signal(SIGTERM)
    }
    defer { withExtendedLifetime(signals) {} }
    while true {
      if let end {
        if isAsked { return 130 }
        let lines = said(path, from: logStart)
        for line in lines.suffix(6) { context.console.note(String(line)) }
        // Where nothing could be begun, nothing is left behind.
        if logStart == 0, Files.exists("\(data)/coordinator") == false { unlink(path) }
        directories.undo()
        throw CommandError("error: the cluster did not come up (\(end)); its log: \(path)")
      }
      if !isAsked, case .running(let process, let record?) = UpState.of(data), process.pid == child.pid {
        return tell(context, "The cluster is up", process, record, data)
      }
      try loop.runOnce(timeoutMilliseconds: 50)
    }
  }

  /// What has been written to the log since this start, the last of it.
  private static func said(_ path: String, from start: Int) -> [Substring] {
    guard let whole = try? Files.status(path), let bytes = Files.readEnd(path, limit: 64 << 10) else { return [] }
    let written = max(0, Int(clamping: whole.size) - start)
    return String(decoding: bytes.suffix(written), as: UTF8.self).split(separator: "\n")
  }

  private static func tell(
    _ context: Context, _ what: String, _ process: ProcessIdentity, _ record: UpRecord?, _ data: String
  ) -> Int32 {
    let console = context.console
    let flag = data == Endpoint.dataDirectory(context.environment) ? "" : " --data \(data)"
    guard let record else {
      console.line("\(what), and is starting or ending (process \(process.pid)).")
      return 0
    }
    let heading = "\(what):"
    let log = record.isDetached ? "\n  tail -f \(UpRecord.log(data))" : ""
    console.line(
      """
      \(console.colours ? Colour.bold(heading) : heading) coordinator at \(record.server), nodes \
      \(record.nodes.joined(separator: ", ")), process \(process.pid)\
      \(record.isDetached ? "" : ", in another terminal").

        export KUBECONFIG=\(data)/kubeconfig
        stint get nodes\(log)
        stint down\(flag)
      """)
    return 0
  }
}
