"""A second implementation of the networks, float64, one number at a time, sharing no code.

It is as slow and as plain as possible: what the fast code must agree with.
"""

import math

ACTIVATIONS = {
    "relu": (lambda z: z if z > 0 else 0.0, lambda z: 1.0 if z > 0 else 0.0),
    "sigmoid": (lambda z: 1 / (1 + math.exp(-z)), lambda z: 0.25 / math.cosh(z / 2) ** 2),
    "tanh": (math.tanh, lambda z: 1 / math.cosh(z) ** 2),
    "linear": (lambda z: z, lambda z: 1.0),
}


def fc_net_loss(weights, biases, X, y, activation, reg):
    """Loss of a fully-connected net and its gradients, as nested lists.

    weights[l][i][j] leads from unit i of layer l to unit j of the next.
    """
    act, derivative = ACTIVATIONS[activation]
    dW = [[[reg * w for w in row] for row in W] for W in weights]
    db = [[0.0 for _ in b] for b in biases]
    loss = 0.5 * reg * sum(w * w for W in weights for row in W for w in row)
    for x, label in zip(X, y, strict=True):
        # Forward: z of every layer, and h, what goes into every layer.
        hs, zs = [list(x)], []
        for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
            h = hs[-1]
            z = [sum(h[i] * W[i][j] for i in range(len(h))) + b[j] for j in range(len(b))]
            zs.append(z)
            if layer < len(weights) - 1:
                hs.append([act(value) for value in z])
        exps = [math.exp(score) for score in zs[-1]]
        loss += -math.log(exps[label] / sum(exps)) / len(X)
        # Backward: delta is the gradient of the loss with respect to z.
        delta = [(exp / sum(exps) - (j == label)) / len(X) for j, exp in enumerate(exps)]
        for layer in reversed(range(len(weights))):
            for i, h in enumerate(hs[layer]):
                for j, d in enumerate(delta):
                    dW[layer][i][j] += h * d
            for j, d in enumerate(delta):
                db[layer][j] += d
            if layer:
                delta = [
                    sum(weights[layer][i][j] * delta[j] for j in range(len(delta)))
                    * derivative(zs[layer - 1][i])
                    for i in range(len(hs[layer]))
                ]
    return loss, dW, db


def as_in_networks(*arrays):
    """The same images in the layout in which one layer of a network gives them to the next."""
    return [a.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2) for a in arrays]


def listed(gradients):
    """List what a backward returns, of one input or of several."""
    return gradients if isinstance(gradients, tuple) else [gradients]


def update_rules():
    """The published update rules for one number: name -> f(w, gradients, hyperparameters) -> w."""

    def sgd_momentum(w, gradients, learning_rate, momentum=0.0):
        v = 0.0
        for g in gradients:
            v = momentum * v - learning_rate * g
            w = w + v
        return w

    def rmsprop(w, gradients, learning_rate, decay_rate, epsilon):
        mean_square = 0.0
        for g in gradients:
            mean_square = decay_rate * mean_square + (1 - decay_rate) * g**2
            w = w - learning_rate * g / (math.sqrt(mean_square) + epsilon)
        return w

    def adam(w, gradients, learning_rate, beta1, beta2, epsilon):
        m = v = 0.0
        for t, g in enumerate(gradients, 1):
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            w = w - learning_rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
        return w

    return {"sgd": sgd_momentum, "sgd_momentum": sgd_momentum, "rmsprop": rmsprop, "adam": adam}
