// Which process started in a pod's containers has which place at the pod's init. Knows nothing of what they run.

import AgentCore
import ClusterIO

/// The places of one pod.
final class PodExecs {
  private var numbers: [Int: ExecNumber] = [:]
  private var places: [ExecNumber: Int] = [:]

  /// nil: all are taken.
  func takePlace(for number: ExecNumber) -> Int? {
    guard let place = (0..<PodProcess.execPlaces).first(where: { numbers[$0] == nil }) else { return nil }
    numbers[place] = number
    places[number] = place
    return place
  }

  func place(of number: ExecNumber) -> Int? { places[number] }

  func giveBack(_ place: Int) {
    if let number = numbers.removeValue(forKey: place) { places[number] = nil }
  }

  /// Whose word that is; its last one frees the place.
  func number(at place: Int, _ word: PodProcess.ExecWord) -> ExecNumber? {
    defer { if word != .started { giveBack(place) } }
    return numbers[place]
  }

  /// The init's word as the core takes it.
  static func told(_ word: PodProcess.ExecWord) -> ExecWord {
    switch word {
    case .started: .started
    case .exited(.exited(let code)): .exited(code: Int64(code))
    case .exited(.signaled(let number)): .exited(code: 128 + Int64(number))
    case .failed(let failure): .failed(StartFailure(failure), containerEnded: failure.stage == "join")
    }
  }
}
