"""InfoPro's decoder: what a module's maps still tell of the image (InfoPro, section 3.3; spec §5).

    upsample to the image's size (bilinear, corners aligned) → conv3x3 C→12 → BN → ReLU
    → conv3x3 12→image channels → (sigmoid: in the loss)

A group's decoder reads the group's own slice, whatever its head hears of the others.
"""

from torch import Tensor, nn

from partition.layers import Conv
from partition.spans import Span

HIDDEN = 12


class Decoder(nn.Module):
    """(batch, channels, h, w) to the logits of pixels, (batch, *image)."""

    def __init__(self, channels: int, image: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = image[1:]
        hidden = Span.whole(HIDDEN)
        self.conv0 = Conv(Span.whole(channels), hidden, 3, bias=True)
        self.bn0 = nn.BatchNorm2d(HIDDEN)
        self.relu0 = nn.ReLU(inplace=True)
        self.conv1 = Conv(hidden, Span.whole(image[0]), 3, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(x, self.size, mode="bilinear", align_corners=True)
        return self.conv1(self.relu0(self.bn0(self.conv0(x))))
