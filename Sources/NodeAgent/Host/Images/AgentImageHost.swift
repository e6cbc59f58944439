// Between the agent's core and the images of its node: the core's orders to fetch and remove become ImageHost's work,
// and its answers the core's events; a prepared attempt gets the directories of its images. Decides nothing.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// The images of a node that runs them.
final class AgentImageHost {
  private let host: ImageHost
  private let handle: (AgentEvent) -> Void

  /// `handle`: gets the events, always from the loop.
  init(
    paths: NodePaths, _ settings: ImageSettings, loop: EventLoop, _ handle: @escaping (AgentEvent) -> Void
  ) throws(IOError) {
    guard geteuid() == 0 else {
      throw IOError(
        operation: "--images=on", subject: "", message: "needs an agent that runs as root; without, use --images=off")
    }
    var fetching = FetchSettings()
    fetching.pullThreads = max(1, settings.parallelPulls)
    host = try ImageHost(directory: paths.images, settings: fetching)
    self.handle = handle
    try host.attach(to: loop)
    host.changed = { [unowned self] in tell() }
  }

  /// What is there.
  func tell() { handle(.images(host.list())) }

  /// Ends what is under way.
  func stop() { host.stop() }

  /// Fetches with one credential after the other, as the kubelet does; without any when there are none. What the last
  /// one was told is what is told.
  func pull(
    _ number: PullNumber, _ reference: ImageReference, _ credentials: [RegistryCredential],
    since start: Int64 = Clocks.boot()
  ) {
    let file = credentials.first.map { Array($0.authFile(registry: reference.registry).utf8) }
    host.pull(key: number, reference, credentials: file) { [unowned self] result in
      switch result {
      case .success(let record):
        let milliseconds = (Clocks.boot() - start) / 1_000_000
        handle(.imagePulled(number, record, milliseconds: milliseconds, bytes: record.bytes))
      case .failure(let error):
        if error.isCancelled { return }
        if credentials.count > 1 { return pull(number, reference, Array(credentials.dropFirst()), since: start) }
        handle(.imagePullFailed(number, message: error.message))
      }
    }
  }

  func cancel(_ number: PullNumber) { host.cancel(key: number) }

  /// One that cannot go is still there: the core is told of it.
  func remove(_ id: String) {
    host.remove(id) { [unowned self] error in
      if let error { HostLog.line("agent: image \(id) stays: \(error.message)") }
      tell()
    }
  }

  /// The images with where their layers are; nil: one of them has gone meanwhile.
  func placed(_ images: [String: ImageRecord]) -> [String: PlacedImage]? {
    var result: [String: PlacedImage] = [:]
    for (name, record) in images {
      guard let directories = host.layerDirectories(of: record.id) else { return nil }
      result[name] = PlacedImage(record: record, directories: directories.map { Files.split($0).name })
    }
    return result
  }
}
