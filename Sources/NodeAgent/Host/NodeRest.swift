// Owns: what a node has for pods where some of it is kept back. It must not know where the numbers come from.

import ClusterIO
import ClusterProto

extension NodeReserve {
  /// What is left of `whole`; throws where that is nothing of something, and names it.
  func rest(of whole: NodeCapacity) throws(IOError) -> NodeCapacity {
    var result = whole
    result.cpuMillicores -= cpuMillicores
    result.memoryBytes -= memoryBytes
    result.storageBytes = result.storageBytes.map { $0 - storageBytes }
    var gone: [String] = []
    func look(_ name: String, _ left: Int64?, _ own: Int64, _ all: Int64?, _ text: (Int64) -> String) {
      guard let left, let all, left <= 0 else { return }
      gone.append("no \(name) (\(text(own)) of \(text(all)) are kept back)")
    }
    look("cpu", result.cpuMillicores, cpuMillicores, whole.cpuMillicores, Quantity.formatMillis)
    look("memory", result.memoryBytes, memoryBytes, whole.memoryBytes, Quantity.formatBytes)
    look(
      ResourceAmount.storage, result.storageBytes, storageBytes, whole.storageBytes, Quantity.formatBytes)
    guard gone.isEmpty else {
      throw IOError(
        operation: "--reserve", subject: "",
        message: "\(gone.joined(separator: ", ")) is left for pods: keep less back")
    }
    return result
  }
}
